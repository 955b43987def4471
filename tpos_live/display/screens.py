"""The screens of this machine, by number and by name, as they come and go."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass, field
from typing import Any

CHECK_EVERY = 1.0
"""Seconds between two queries where the system does not report changes."""
_CHANGES = 0b111
"""RandR's event masks for changes of a screen, a CRTC and an output."""


def has_display() -> bool:
    """Whether a window can be opened: on Linux only where an X display is named (XWayland counts)."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY"))


@dataclass(frozen=True)
class Screen:
    """One screen. number: index in the list. name: of its connector on X11 ("HDMI-1"), of its monitor elsewhere;
    unique. x, y, width, height: position on the desktop, pixels. handle: pyglet's."""

    number: int
    name: str
    x: int
    y: int
    width: int
    height: int
    handle: Any = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.number} {self.name} ({self.width}x{self.height})"


class Screens:
    """The screens of a pyglet display. Thread contract: the window's thread only."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._events = _randr_events(display)
        self._check_at = 0.0
        self._doubted = False
        self.all: tuple[Screen, ...] = ()
        self._read()

    def check(self, now: float) -> bool:
        """True if a screen came, went, moved or changed its size since the last call. now: seconds."""
        if self._events:
            if not _take_events(self._display, self._events) and not self._doubted:
                return False
        elif now < self._check_at:
            return False
        self._check_at, self._doubted = now + CHECK_EVERY, False
        before = self.all
        self._read()
        return self.all != before

    def doubt(self) -> None:
        """A change may have been missed: the next `check` reads the screens again."""
        self._doubted = True

    def find(self, wanted: int | str) -> Screen | None:
        """The screen with that number or name (case-insensitive), None if there is none now."""
        if isinstance(wanted, int):
            return self.all[wanted] if 0 <= wanted < len(self.all) else None
        return next((screen for screen in self.all if screen.name.lower() == wanted.lower()), None)

    def at(self, x: float, y: float) -> Screen | None:
        """The screen with that point of the desktop."""
        return next((s for s in self.all if s.x <= x < s.x + s.width and s.y <= y < s.y + s.height), None)

    def __str__(self) -> str:
        return ", ".join(map(str, self.all))

    def _read(self) -> None:
        try:
            handles = self._display.get_screens()
        except Exception:  # The system is just changing them: read them at the next look.
            return
        found: list[Screen] = []
        for number, handle in enumerate(handles):
            name = _name(handle)
            twins = sum(screen.name == name or screen.name.startswith(f"{name} #") for screen in found)
            name = f"{name} #{twins + 1}" if twins else name
            found.append(Screen(number, name, handle.x, handle.y, handle.width, handle.height, handle))
        if found:  # On Windows there may be none for a moment.
            self.all = tuple(found)


def _name(handle: Any) -> str:
    """Name of a screen; "screen" where the system has none."""
    try:
        return str(getattr(handle, "get_monitor_name", str)() or "screen").strip()
    except Exception:  # it was just disconnected
        return "screen"


def _randr_events(display: Any) -> tuple[int, ...]:
    """Enable the X11 events for screen changes; their types, () where there are none."""
    connection = getattr(display, "_display", None)
    if not connection:
        return ()
    try:
        from pyglet.libs.x11 import xlib, xrandr

        root = xlib.XDefaultRootWindow(connection)
        first, error = ctypes.c_int(), ctypes.c_int()
        if not xrandr.lib.XRRQueryExtension(connection, ctypes.byref(first), ctypes.byref(error)):
            return ()
        xrandr.lib.XRRSelectInput.argtypes = [ctypes.POINTER(xlib.Display), ctypes.c_ulong, ctypes.c_int]
        xrandr.lib.XRRSelectInput(connection, root, _CHANGES)
        # The server's cached state is enough, because it reports changes. The call that pyglet makes otherwise probes
        # every connector for a monitor, and blocks the show meanwhile.
        xrandr.XRRGetScreenResources = xrandr.XRRGetScreenResourcesCurrent
    except Exception:  # Not X11, or an X server without RandR.
        return ()
    return first.value, first.value + 1


def _take_events(display: Any, types: tuple[int, ...]) -> bool:
    """Take the events of these types; True if there were any."""
    from pyglet.libs.x11 import xlib

    event, any_came = xlib.XEvent(), False
    for kind in types:
        while xlib.XCheckTypedEvent(display._display, kind, ctypes.byref(event)):
            any_came = True
    return any_came
