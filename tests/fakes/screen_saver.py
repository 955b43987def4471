"""The screen saver of an X server, as it is now. Needs libxss1 and xset (x11-xserver-utils)."""

from __future__ import annotations

import ctypes
import time

from fakes.xvfb import run


class _Info(ctypes.Structure):
    _fields_ = [
        ("window", ctypes.c_ulong),
        ("state", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("til_or_since", ctypes.c_ulong),
        ("idle", ctypes.c_ulong),
        ("event_mask", ctypes.c_ulong),
    ]


class Saver:
    """Looks at a display's screen saver, which comes after a second."""

    def __init__(self, display: str) -> None:
        run(display, "xset", "s", "1", "1")
        self._xlib, self._library = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXss.so.1")
        self._xlib.XOpenDisplay.restype = self._library.XScreenSaverAllocInfo.restype = ctypes.c_void_p
        self._xlib.XDefaultRootWindow.restype = ctypes.c_ulong
        self._display = ctypes.c_void_p(self._xlib.XOpenDisplay(display.encode()))
        self._root = ctypes.c_ulong(self._xlib.XDefaultRootWindow(self._display))

    def is_on(self) -> bool:
        info = _Info()
        assert self._library.XScreenSaverQueryInfo(self._display, self._root, ctypes.byref(info))
        return info.state == 1

    def stays_off(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.is_on():
                return False
            time.sleep(0.05)
        return True

    def close(self) -> None:
        self._xlib.XCloseDisplay(self._display)
