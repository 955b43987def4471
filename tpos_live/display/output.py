"""The interface of an output besides the window: the recorder, streams, other programs."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Output(Protocol):
    """A receiver of the composed frames, without HUD.

    Thread contract: all calls come from the display's thread and must not wait: `send` hands the frame over and
    returns. A failure after `open` shows in `error`; it never raises.
    """

    name: str
    error: str
    """What went wrong, one line; "" if nothing."""
    fixed_size: bool
    """Whether the frames must keep the size of `open`, also if the window changes its own (a file does)."""

    def is_available(self) -> str:
        """ "" if it can be used on this machine, else why not and what to install."""
        ...

    def open(self, size: tuple[int, int], fps: float) -> None:
        """Prepare for frames of (width, height). Raises DisplayError with one line."""
        ...

    def wants(self, now: float) -> bool:
        """True when another frame is due (perf_counter seconds); called once per refresh."""
        ...

    def send(self, pixels: np.ndarray, shown_at: float) -> None:
        """A frame: uint8 [height, width, 3], not modified afterwards; shown_at: perf_counter."""
        ...

    def close(self) -> None:
        """Finish, within a second."""
        ...
