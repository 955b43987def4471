"""Reads pixels of an X display, hundreds of times a second: fast enough to find a single black refresh."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

ZPIXMAP = 2
ALL_PLANES = 0xFFFFFFFF
EVERY = 0.004
BLACK, WHITE = 0, 0xFFFFFF


class ScreenReader:
    """One thread."""

    def __init__(self, display: str, desktop: int = BLACK) -> None:
        """desktop: colour that it gets, so that it counts as black, or does not."""
        from pyglet.libs.x11 import xlib

        self._xlib = xlib
        self._destroy = ctypes.CDLL(xlib._lib._name).XDestroyImage
        self._connection = xlib.XOpenDisplay(display.encode())
        assert self._connection, f"no display {display}"
        self._root = xlib.XDefaultRootWindow(self._connection)
        xlib.XSetWindowBackground(self._connection, self._root, desktop)
        xlib.XClearWindow(self._connection, self._root)
        xlib.XSync(self._connection, 0)

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """uint8 [height, width, 3], blue first."""
        image = self._xlib.XGetImage(self._connection, self._root, x, y, width, height, ALL_PLANES, ZPIXMAP)
        try:
            stride = image.contents.bytes_per_line
            address = ctypes.c_void_p.from_buffer(image.contents, self._xlib.XImage.data.offset).value
            data = ctypes.string_at(address or 0, stride * height)
        finally:
            self._destroy(image)
        return np.frombuffer(data, np.uint8).reshape(height, stride // 4, 4)[:, :width, :3]


@dataclass
class Watched:
    """What a strip of the screen looked like: (time in perf_counter seconds, brightest value, mean) of each look."""

    looks: list[tuple[float, int, float]] = field(default_factory=list)

    def black(self, since: float, limit: int = 8) -> list[tuple[float, float]]:
        """(begin, seconds) of the times since `since` in which nothing was brighter than `limit`."""
        found: list[tuple[float, float]] = []
        begin = None
        for at, brightest, _ in self.looks:
            if at < since:
                continue
            if brightest <= limit:
                begin = at if begin is None else begin
            elif begin is not None:
                found.append((begin, at - begin))
                begin = None
        if begin is not None:
            found.append((begin, self.looks[-1][0] - begin))
        return found


@contextmanager
def watch_screen(display: str, x: int, y: int, width: int, height: int, desktop: int = BLACK) -> Iterator[Watched]:
    """Look at this part of the screen every EVERY seconds, on a thread."""
    watched, stop, reader = Watched(), threading.Event(), ScreenReader(display, desktop)

    def look() -> None:
        while not stop.wait(EVERY):
            pixels = reader.read(x, y, width, height)
            watched.looks.append((time.perf_counter(), int(pixels.max()), float(pixels.mean())))

    thread = threading.Thread(target=look, name="watch-screen")
    thread.start()
    try:
        yield watched
    finally:
        stop.set()
        thread.join()
