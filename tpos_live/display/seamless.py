"""X11 functions for windows that take over a screen without a black frame. Used by window, screen windows and still."""

from __future__ import annotations

import ctypes
from typing import Any


def on_x11(window: Any) -> bool:
    """Whether these functions work with a pyglet window."""
    return hasattr(window, "_x_display")


def leave_unpainted(window: Any) -> None:
    """Let the X server paint no background where the window appears: the earlier image stays on the screen until a
    frame is drawn. Does nothing on other systems."""
    if on_x11(window):
        from pyglet.libs.x11 import xlib

        for each in (window._window, window._view):
            xlib.XSetWindowBackgroundPixmap(window._x_display, each, 0)


def keep_place(window: Any, x: int, y: int) -> None:
    """Call it before a hidden window is shown. Asks the window manager, which has forgotten the window, to put its
    content at (x, y) on the desktop, and for fullscreen if it was. On other systems a window keeps both."""
    if on_x11(window):
        from pyglet.libs.x11 import xlib

        connection, handle = window._x_display, window._window
        hints = xlib.XSizeHints()
        xlib.XGetWMNormalHints(connection, handle, ctypes.byref(hints), ctypes.byref(ctypes.c_long()))
        hints.flags |= xlib.USPosition | xlib.PWinGravity
        hints.win_gravity = xlib.StaticGravity  # the place is that of the content, not of the frame around it
        xlib.XSetWMNormalHints(connection, handle, ctypes.byref(hints))
        xlib.XMoveWindow(connection, handle, x, y)
        if window.fullscreen:
            window._set_wm_state("_NET_WM_STATE_FULLSCREEN")


def forget_place(window: Any) -> None:
    """Call it once the window is shown: pyglet may move it again, by the position of its frame."""
    if on_x11(window):
        window._set_wm_normal_hints()


def put_below(window: Any) -> None:
    """Show a hidden window below all others, with no frame and no focus (override-redirect)."""
    from pyglet.libs.x11 import xlib

    attributes = xlib.XSetWindowAttributes()
    attributes.override_redirect = True
    connection, handle = window._x_display, window._window
    xlib.XChangeWindowAttributes(connection, handle, xlib.CWOverrideRedirect, ctypes.byref(attributes))
    xlib.XLowerWindow(connection, handle)
    xlib.XMapWindow(connection, handle)
    xlib.XSync(connection, 0)


def take_away(window: Any) -> None:
    """Hide a window that `put_below` has shown."""
    from pyglet.libs.x11 import xlib

    xlib.XUnmapWindow(window._x_display, window._window)
    xlib.XSync(window._x_display, 0)


def lower(window: Any) -> None:
    """Put a window below all others."""
    from pyglet.libs.x11 import xlib

    xlib.XLowerWindow(window._x_display, window._window)
    xlib.XSync(window._x_display, 0)


def lift(window: Any) -> None:
    """Put a window above all others."""
    from pyglet.libs.x11 import xlib

    xlib.XRaiseWindow(window._x_display, window._window)
    xlib.XSync(window._x_display, 0)
