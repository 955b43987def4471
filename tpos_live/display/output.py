"""What takes the composed picture besides the window: a recorder now, Spout, Syphon or NDI later."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Output(Protocol):
    """One receiver of the composed picture, without HUD.

    Thread contract: all calls come from the stage's thread, and none may make it wait: `send` hands
    the picture over and returns. A failure after `open` shows in `error`; it never raises.
    """

    name: str
    error: str
    """What went wrong, one line; "" while all is well."""

    def is_available(self) -> str:
        """ "" if it can be used on this machine, else why not and what to install."""
        ...

    def open(self, size: tuple[int, int], fps: float) -> None:
        """Get ready for pictures of (width, height). Raises DisplayError with one line."""
        ...

    def wants(self, now: float) -> bool:
        """True when it is time for another picture (perf_counter seconds); asked once a refresh."""
        ...

    def send(self, pixels: np.ndarray, shown_at: float) -> None:
        """A picture: uint8 [height, width, 3], not written again; shown_at: perf_counter."""
        ...

    def close(self) -> None:
        """Finish, within a second."""
        ...
