"""The interface of all readers of sources, and the error that they raise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import av

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot


class SourceError(Exception):
    """A source cannot be read. One line: what, why, what to do."""


class Wanted(NamedTuple):
    """A frame's request for a picture: its parameters, its size (width, height), and its conditioning."""

    params: FrameParams
    snapshot: Snapshot
    size: tuple[int, int]
    conditioning: Conditioning | None = None


class Reader(ABC):
    """Reads pictures of one source. Belongs to one thread, except `close`.

    live: pictures have no position in time (a camera). name: for the status.
    """

    name: str = ""
    live: bool = False
    gentle: bool = False
    """Whether it pauses between pictures that are decoded but not shown, because the engine uses the same cores: set
    in a live show."""
    trouble: str = ""
    """The current error, one line; "" if there is none."""

    @property
    def seconds(self) -> float:
        """Length of the loop in seconds; 0 for a source without a length (a camera, a single picture)."""
        return 0.0

    def prepare(self, wanted: Wanted) -> None:
        """Take the parameters that the next picture depends on. Called before `seconds` and `at`."""
        return

    @abstractmethod
    def at(self, seconds: float) -> av.VideoFrame | None:
        """The picture at a position in the loop, 0 <= seconds < `self.seconds`; of a camera the newest picture, None
        before the first.

        The same picture is the same object. Raises SourceError if the source cannot be read any more.
        """

    def close(self) -> None:
        """Close files and devices, within a second."""
        return
