"""What every reader of a source is, and the errors that they raise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import av

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot


class SourceError(Exception):
    """A source that cannot be read: what, why and what to do, one line."""


class Wanted(NamedTuple):
    """What a frame asks for: its parameters, its (width, height), and what it is drawn from beside the source."""

    params: FrameParams
    snapshot: Snapshot
    size: tuple[int, int]
    conditioning: Conditioning | None = None


class Reader(ABC):
    """Reads pictures of one source. Belongs to one thread, but for `close`.

    live: pictures come when they come (a camera); otherwise each has its place in time. name: for the status.
    """

    name: str = ""
    live: bool = False
    gentle: bool = False
    """Whether it rests while it decodes pictures that nobody sees, for an engine on the same cores: set in a live
    show."""
    trouble: str = ""
    """What is wrong at the moment, one line; "" if nothing."""

    @property
    def seconds(self) -> float:
        """Length of one round; 0 for a source without one."""
        return 0.0

    def prepare(self, wanted: Wanted) -> None:
        """Take what the next picture depends on beside its place. Called before `seconds` and `at`."""
        return

    @abstractmethod
    def at(self, seconds: float) -> av.VideoFrame | None:
        """The picture at a place in the round, 0 <= seconds < `seconds`; of a camera the newest, None before the first.

        The same object as long as it is the same picture. Raises SourceError if it cannot be read any more.
        """

    def close(self) -> None:
        """Let go of files and devices; within a second."""
        return
