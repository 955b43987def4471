"""Finishes the show when the X server ends: a crash of the desktop, or of its driver.

Xlib then exits the process from the call that noticed it, with a line of its own and without Python's cleanup: a
recording would stay unfinished, and no message would say why the show has ended.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_Handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


@contextmanager
def on_display_lost(finish: Callable[[], None]) -> Iterator[None]:
    """If the X server ends inside this context, call `finish` once, on the thread that notices it, and exit the process
    with status 1. `finish` must not use the display. Does nothing on systems other than Linux, and without libX11."""
    try:
        xlib = ctypes.CDLL("libX11.so.6") if sys.platform == "linux" else None
    except OSError:
        xlib = None
    if xlib is None:
        yield
        return
    once = threading.Lock()

    def lost(_display: int) -> int:
        once.acquire()  # never released: another thread that notices waits here for the end
        try:
            finish()
        finally:
            os._exit(1)  # a return would let Xlib end the process

    handler = _Handler(lost)
    xlib.XSetIOErrorHandler.restype = ctypes.c_void_p
    before = xlib.XSetIOErrorHandler(handler)
    try:
        yield
    finally:
        xlib.XSetIOErrorHandler(ctypes.c_void_p(before))
