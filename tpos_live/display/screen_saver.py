"""Inhibits the screen saver and the display's power saving during a session.

Nobody touches the keyboard for an hour, so every system would blank the projector. Three methods are tried, and all
that work are used: the desktop or operating system (GNOME, KDE, XFCE and others over D-Bus, Windows, macOS) through the
library wakepy, the desktop portal over D-Bus, and the X server itself. Each ends with this process.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tpos_live.core.guard import Guard
from tpos_live.core.own_thread import OwnThread

log = logging.getLogger(__name__)

HEARTBEAT = 5.0
"""Seconds between two resets of the X server's idle time."""
TIMEOUT = 2.0
"""Seconds that the portal gets to answer."""
_INHIBIT_IDLE = 8
"""The portal's flag for "the session is not idle"."""
_SCREEN_SAVER_RESET = 0
"""XForceScreenSaver's mode for "off"."""


class InhibitError(Exception):
    """A method does not work here; the message says why."""


@dataclass(frozen=True)
class Inhibition:
    """name: what inhibits the screen saver. heartbeat: to be called every HEARTBEAT seconds, if not None."""

    name: str
    heartbeat: Callable[[], None] | None = None


Method = Callable[[], AbstractContextManager[Inhibition]]


class ScreenSaverInhibitor(OwnThread):
    """A context manager. Entering starts a thread that tries all methods, because a desktop may take seconds to answer.

    Thread contract: `ready` is set once all methods were tried; from then on `active` (names of the working ones) and
    `failures` (a reason for each other one) may be read from anywhere.
    """

    def __init__(self, methods: Sequence[Method] | None = None, warn: bool = True) -> None:
        """methods: for tests; default: those of this system. warn: log `advice` if nothing works."""
        super().__init__("screen-saver", patience=1.0)
        self.ready = threading.Event()
        self.active: tuple[str, ...] = ()
        self.failures: tuple[str, ...] = ()
        self._warn, self._methods = warn, methods if methods is not None else _system_methods()

    @property
    def advice(self) -> str:
        """What to do where no method works, one line."""
        reasons = "; ".join(self.failures) or "no method is known for this system"
        return f"the screen saver cannot be inhibited here, switch it off by hand ({reasons})"

    def _run(self) -> None:
        with ExitStack() as stack:
            inhibitions, failures = [], []
            for method in self._methods:
                try:
                    inhibitions.append(stack.enter_context(method()))
                except Exception as error:  # The system's libraries raise any kind, and none may end the thread.
                    text = " ".join(str(error).split()) or type(error).__name__
                    failures.append(f"{method.__name__}: {text[:120]}")
            self.active, self.failures = tuple(each.name for each in inhibitions), tuple(failures)
            self.ready.set()
            if self._warn and not inhibitions:
                log.warning(self.advice)
            beats = [(Guard(log, each.name), each.heartbeat) for each in inhibitions if each.heartbeat is not None]
            while not self._stop.wait(HEARTBEAT):
                for guard, heartbeat in beats:
                    with guard:  # else one failure would end all of them
                        heartbeat()


def _system_methods() -> Sequence[Method]:
    return (desktop,) if sys.platform in ("win32", "darwin") else (desktop, portal, x11)


@contextmanager
def desktop() -> Iterator[Inhibition]:
    """Ask the desktop or the operating system, by any interface it has."""
    try:
        from wakepy import keep
    except ImportError as error:
        raise InhibitError("pip install wakepy") from error
    with keep.presenting(on_fail="pass") as mode:
        if not mode.active:
            reasons = [str(tried.failure_reason) for tried in mode.result.list_methods() if tried.failure_reason]
            no_bus = any("DBUS_SESSION_BUS_ADDRESS" in reason for reason in reasons)
            raise InhibitError("there is no session bus (D-Bus)" if no_bus else reasons[-1] if reasons else "no answer")
        yield Inhibition(getattr(mode.active_method, "name", "") or "the desktop")


@contextmanager
def portal() -> Iterator[Inhibition]:
    """Ask the desktop portal of Wayland desktops and sandboxes; lasts as long as the connection."""
    from jeepney import DBusAddress, new_method_call
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.wrappers import unwrap_msg

    inhibit = DBusAddress(
        "/org/freedesktop/portal/desktop", "org.freedesktop.portal.Desktop", "org.freedesktop.portal.Inhibit"
    )
    arguments = ("", _INHIBIT_IDLE, {"reason": ("s", "a show is running")})
    try:
        connection = open_dbus_connection("SESSION")
    except KeyError as error:
        raise InhibitError("there is no session bus (D-Bus)") from error
    with connection:
        call = new_method_call(inhibit, "Inhibit", "sua{sv}", arguments)
        unwrap_msg(connection.send_and_get_reply(call, timeout=TIMEOUT))
        yield Inhibition("org.freedesktop.portal.Inhibit")


@contextmanager
def x11() -> Iterator[Inhibition]:
    """Suspend the X server's own screen saver and power saving, over a separate connection."""
    if os.environ.get("WAYLAND_DISPLAY"):
        raise InhibitError("on Wayland the screen saver belongs to the desktop")
    xlib = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    xlib.XOpenDisplay.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xlib.XOpenDisplay(None))
    if not connection:
        raise InhibitError("no X display answers")

    def reset_idle_time() -> None:
        xlib.XResetScreenSaver(connection)
        xlib.XFlush(connection)

    try:
        extension = _saver_extension(connection)
        if extension is not None:
            extension.XScreenSaverSuspend(connection, 1)
        xlib.XForceScreenSaver(connection, _SCREEN_SAVER_RESET)  # It may be on already.
        xlib.XSync(connection, 0)
        name = "X11" if extension is not None else f"X11, by a heartbeat every {HEARTBEAT:g} s (libXss is missing)"
        yield Inhibition(name, reset_idle_time)
    finally:
        xlib.XCloseDisplay(connection)  # This ends the suspension as well.


def _saver_extension(connection: ctypes.c_void_p) -> Any:
    """The library of the X server's screen saver extension, None where either is missing."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("Xss") or "libXss.so.1")
    except OSError:
        return None
    first, error = ctypes.c_int(), ctypes.c_int()
    return library if library.XScreenSaverQueryExtension(connection, ctypes.byref(first), ctypes.byref(error)) else None
