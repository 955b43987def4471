"""The preview of the output, and images of looks: composed small, and encoded, on a thread of their own."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tpos_live.core.cores import lower_this_thread, usable_cores
from tpos_live.core.guard import Guard
from tpos_live.core.own_thread import OwnThread

if TYPE_CHECKING:  # torch, which takes seconds
    from tpos_live.display.cpu_compositor import CpuCompositor
    from tpos_live.display.interpolator import DisplayFrame

log = logging.getLogger(__name__)

Size = tuple[int, int]
_CORES = len(usable_cores())
WIDTH = 320 if _CORES <= 4 else 480
FPS = 6.0 if _CORES <= 2 else 10.0 if _CORES <= 4 else 15.0
"""Frames per second of the preview. One image takes 4 ms of a core at 320x180. The engine computes on all cores, and
its threads wait for each other: on two cores it would lose twice the share that the preview takes of one, at the same
priority."""
NICE = 10
"""Niceness of the preview's thread: it uses processor time that the engine's threads leave while they wait for
Python."""
THUMBNAIL: Size = (160, 90)
_QUALITY = 75
_MOST_WAITING = 8


class Preview(OwnThread):
    """A context manager. It takes the record of what the display has drawn last, and composes it again, small, on the
    CPU: neither the display nor the render thread does anything for it. It works only while a page shows the preview.

    Thread contract: any thread may call `switch` and `draw`; `deliver` and the functions given to `draw` are called on
    the preview's thread.
    """

    def __init__(self, shown: Callable[[], DisplayFrame | None], size: Callable[[], Size]) -> None:
        """shown: what the display has drawn last. size: (width, height) of the output, whose aspect ratio is kept."""
        super().__init__("preview", patience=0.5)
        self._shown, self._size = shown, size
        self.deliver: Callable[[bytes], None] = lambda jpeg: None
        """Called with each image of the preview, JPEG."""
        self._previewing = False
        self._jobs: list[tuple[DisplayFrame, Callable[[bytes], None]]] = []
        self._change = threading.Condition()
        self._compositors: dict[Size, CpuCompositor] = {}

    def _wake(self) -> None:
        with self._change:
            self._change.notify()

    def switch(self, on: bool) -> None:
        """Begin or end the preview."""
        with self._change:
            self._previewing = on
            self._change.notify()

    def draw(self, done: Callable[[bytes], None]) -> None:
        """Make a thumbnail of what is shown now, without blackout and at full level, and pass it to `done`, JPEG. Above
        _MOST_WAITING requests the oldest are dropped."""
        shown = self._shown()
        if shown is None or not shown.started:
            return
        with self._change:
            self._jobs = [*self._jobs[-_MOST_WAITING + 1 :], (shown, done)]
            self._change.notify()

    def _run(self) -> None:
        lower_this_thread(NICE)
        guard = Guard(log, "the page's preview", logging.INFO)
        while True:
            with self._change:
                self._change.wait_for(lambda: self._previewing or self._jobs or self._stop.is_set())
                if self._stop.is_set():
                    return
                jobs, self._jobs = self._jobs, []
            began = time.perf_counter()
            with guard:
                for shown, done in jobs:
                    bright = replace(shown, postfx=replace(shown.postfx, level=1.0, blackout=False))
                    done(self._compose(bright, THUMBNAIL))
                shown_now = self._shown()
                if self._previewing and shown_now is not None:
                    self.deliver(self._compose(shown_now, preview_size(self._size())))
            with self._change:
                rest = 1.0 / FPS - (time.perf_counter() - began)
                self._change.wait_for(self._stop.is_set, max(rest, 0.0))

    def _compose(self, shown: DisplayFrame, size: Size) -> bytes:
        from PIL import Image

        # Without the previous frame: at this rate a blend is not visible, and takes twice as long.
        pixels = self._compositor(size).compose(replace(shown.postfx, mix=1.0), shown.newest)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()

    def _compositor(self, size: Size) -> CpuCompositor:
        if size not in self._compositors:
            from tpos_live.core.torch_threads import use_threads
            from tpos_live.display.cpu_compositor import CpuCompositor

            use_threads(1)
            kept = {THUMBNAIL: self._compositors[THUMBNAIL]} if THUMBNAIL in self._compositors else {}
            self._compositors = {**kept, size: CpuCompositor(size)}
        return self._compositors[size]


def preview_size(output: Size) -> Size:
    """(width, height) of a preview with the output's aspect ratio: as wide as WIDTH, or as many pixels where it is
    taller; even numbers."""
    width, height = output if min(output) > 0 else (16, 9)
    area = WIDTH * WIDTH * 9 / 16
    wide = min(float(WIDTH), (area * width / height) ** 0.5)
    return max(round(wide / 2) * 2, 2), max(round(wide * height / width / 2) * 2, 2)
