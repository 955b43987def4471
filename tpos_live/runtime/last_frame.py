"""Keeps the frame on the screen, with all that is needed to show it again, in memory that outlives the show."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np

from tpos_live.core.frame import Frame
from tpos_live.core.guard import Guard
from tpos_live.core.own_thread import OwnThread
from tpos_live.display.interpolator import DisplayFrame
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.window import Place
from tpos_live.runtime.frame_memory import FrameMemory

log = logging.getLogger(__name__)

EVERY = 1 / 30
"""Seconds between two checks of the display."""


@dataclass(frozen=True)
class ShownFrame:
    """frame: as it is on the screen. postfx: the parameters with which it was shown. place: of the window. hidden: the
    window is closed."""

    frame: Frame
    postfx: PostFxParams
    place: Place
    hidden: bool = False


def write_frame(memory: FrameMemory, shown: ShownFrame) -> bool:
    """Write a frame; False if it is too large."""
    pixels = np.ascontiguousarray(shown.frame.pixels)
    data = {
        "shape": pixels.shape, "detail": shown.frame.detail, "place": shown.place, "postfx": asdict(shown.postfx),
        "hidden": shown.hidden,
    }  # fmt: skip
    return memory.write(json.dumps(data).encode(), pixels.data.cast("B"))


def read_frame(memory: FrameMemory) -> ShownFrame | None:
    """The last frame; None before the first one."""
    found = memory.read()
    if found is None:
        return None
    data = json.loads(found[0])
    postfx: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data["postfx"].items()
    }
    pixels = np.frombuffer(bytearray(found[1]), np.uint8).reshape(data["shape"])
    x, y, width, height = data["place"]
    frame = Frame(pixels, -1, 0.0, 0.0, 0.0, detail=data["detail"])
    return ShownFrame(frame, PostFxParams(**postfx), (x, y, width, height), data["hidden"])


class FrameKeeper(OwnThread):
    """Writes what a display shows, on a thread of its own. A context manager."""

    def __init__(
        self,
        memory: FrameMemory,
        shown: Callable[[], DisplayFrame | None],
        place: Callable[[], Place],
        hidden: Callable[[], bool] = lambda: False,
    ) -> None:
        """shown, place, hidden: of the display; called on the keeper's thread."""
        super().__init__("last-frame", patience=2.0)
        self._memory, self._shown, self._place, self._hidden = memory, shown, place, hidden
        self._kept: DisplayFrame | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._memory.beats = 0  # no heartbeat: the end of the show may take long

    def _run(self) -> None:
        guard = Guard(log, "keeping the frame on the screen")
        while not self._stop.wait(EVERY):
            self._memory.beats += 1
            with guard:
                self._keep()

    def _keep(self) -> None:
        shown, place = self._shown(), self._place()
        if shown is not None and shown is not self._kept and shown.started and place[2]:
            self._kept = shown
            self._memory.drawn += not shown.newest.of_before
            # A blend of two frames is kept as the newer one.
            postfx = replace(shown.postfx, mix=1.0, contrast=1.0)
            write_frame(self._memory, ShownFrame(shown.newest, postfx, place, self._hidden()))
