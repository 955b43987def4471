"""What is done when the X server goes: a crash of the desktop, or of its driver.

Xlib then ends the process from within whatever call noticed it, with a line of its own and without Python's end, so a
recording would stay a part, and no message would say why the show is over.
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
    """Meanwhile, if the X server goes, `finish` is called once, in the thread that notices, and the process ends with
    status 1. It must not draw, nor ask anything of the display. Elsewhere than on Linux, and without libX11, nothing is
    done."""
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
