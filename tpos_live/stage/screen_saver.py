"""Holds the screen saver and the display's power saving off while a show runs.

Nobody touches a keyboard for an hour during a show, so every system would blank the projector. Three means, all that
work are used: what the desktop offers (GNOME, KDE, XFCE and others over D-Bus, Windows, macOS; the library wakepy knows
them), the desktop portal over D-Bus where those fail, and the X server itself. All of them end with this process, too.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

BEAT = 5.0
"""Seconds between two signs of life to an X server, for one without the extension that suspends its screen saver."""
PATIENCE = 2.0
"""Seconds that the portal gets to answer."""
_IDLE = 8
"""The portal's flag for "the session is not idle"."""
_RESET = 0
"""XForceScreenSaver's mode for "off"."""


class NotHeld(Exception):
    """A means does not work here; the message says why."""


@dataclass(frozen=True)
class Hold:
    """name: what holds the screen saver off. beat: to be called every BEAT seconds, if anything."""

    name: str
    beat: Callable[[], None] | None = None


Means = Callable[[], AbstractContextManager[Hold]]


class ScreenSaverOff:
    """A context manager. Entering starts a thread that tries all means, since a desktop may take seconds to answer.

    Thread contract: `report` is called on that thread. `ready` is set once all means have been tried; from then on
    `by` (names of those that hold) and `why_not` (a reason for each that does not) may be read from anywhere.
    """

    def __init__(self, report: Callable[[str], None], means: Sequence[Means] | None = None) -> None:
        """report: gets one line if nothing works. means: for tests; default: those of this system."""
        self.ready = threading.Event()
        self.by: tuple[str, ...] = ()
        self.why_not: tuple[str, ...] = ()
        self._report, self._means = report, means if means is not None else _means()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="screen-saver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(1.0)

    @property
    def advice(self) -> str:
        """What to do where nothing holds it off, one line."""
        why = "; ".join(self.why_not) or "nothing is known for this system"
        return f"the screen saver cannot be held off here, switch it off by hand ({why})"

    def _run(self) -> None:
        with ExitStack() as stack:
            holds, why_not = [], []
            for means in self._means:
                try:
                    holds.append(stack.enter_context(means()))
                except Exception as error:  # from libraries of the system: any kind, and none may end the thread
                    text = " ".join(str(error).split()) or type(error).__name__
                    why_not.append(f"{means.__name__.strip('_')}: {text[:120]}")
            self.by, self.why_not = tuple(hold.name for hold in holds), tuple(why_not)
            self.ready.set()
            if not holds:
                self._report(self.advice)
            while not self._stop.wait(BEAT):
                for hold in holds:
                    if hold.beat is not None:
                        hold.beat()


def _means() -> Sequence[Means]:
    return (desktop,) if sys.platform in ("win32", "darwin") else (desktop, portal, x11)


@contextmanager
def desktop() -> Iterator[Hold]:
    """Ask the desktop or the operating system, by whatever way it has."""
    try:
        from wakepy import keep
    except ImportError as error:
        raise NotHeld("pip install wakepy") from error
    with keep.presenting(on_fail="pass") as mode:
        if not mode.active:
            reasons = [str(tried.failure_reason) for tried in mode.result.list_methods() if tried.failure_reason]
            no_bus = any("DBUS_SESSION_BUS_ADDRESS" in reason for reason in reasons)
            raise NotHeld("there is no session bus (D-Bus)" if no_bus else reasons[-1] if reasons else "no answer")
        yield Hold(getattr(mode.active_method or mode.method, "name", "") or "the desktop")


@contextmanager
def portal() -> Iterator[Hold]:
    """Ask the desktop portal, which Wayland desktops and sandboxes have; it holds as long as the connection lasts."""
    from jeepney import DBusAddress, new_method_call
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.wrappers import unwrap_msg

    inhibit = DBusAddress(
        "/org/freedesktop/portal/desktop", "org.freedesktop.portal.Desktop", "org.freedesktop.portal.Inhibit"
    )
    arguments = ("", _IDLE, {"reason": ("s", "a show is running")})
    try:
        connection = open_dbus_connection("SESSION")
    except KeyError as error:
        raise NotHeld("there is no session bus (D-Bus)") from error
    with connection:
        call = new_method_call(inhibit, "Inhibit", "sua{sv}", arguments)
        unwrap_msg(connection.send_and_get_reply(call, timeout=PATIENCE))
        yield Hold("org.freedesktop.portal.Inhibit")


@contextmanager
def x11() -> Iterator[Hold]:
    """Suspend the X server's own screen saver and power saving, over a connection of its own."""
    if os.environ.get("WAYLAND_DISPLAY"):
        raise NotHeld("on Wayland the screen saver is the desktop's")
    xlib = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    xlib.XOpenDisplay.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xlib.XOpenDisplay(None))
    if not connection:
        raise NotHeld("no X display answers")

    def reset() -> None:
        xlib.XResetScreenSaver(connection)
        xlib.XFlush(connection)

    try:
        saver = _saver_extension(connection)
        if saver is not None:
            saver.XScreenSaverSuspend(connection, 1)
        xlib.XForceScreenSaver(connection, _RESET)  # It may be on already.
        xlib.XSync(connection, 0)
        yield Hold("X11" if saver is not None else "X11, by a sign of life every 5 s (better: libXss)", reset)
    finally:
        xlib.XCloseDisplay(connection)  # ends the suspension as well


def _saver_extension(connection: ctypes.c_void_p) -> Any:
    """The library of the X server's screen saver extension, None where either is missing."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("Xss") or "libXss.so.1")
    except OSError:
        return None
    first, error = ctypes.c_int(), ctypes.c_int()
    return library if library.XScreenSaverQueryExtension(connection, ctypes.byref(first), ctypes.byref(error)) else None
