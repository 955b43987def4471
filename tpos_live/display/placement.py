"""Window placement: a normal window, fullscreen on the requested screen while it is connected, or hidden."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from tpos_live.core.messages import NOTICE
from tpos_live.display.keyboard import forget_keys
from tpos_live.display.screens import Screen, Screens
from tpos_live.display.seamless import forget_place, keep_place, leave_unpainted

log = logging.getLogger(__name__)

SETTLE = 0.3
"""Seconds that a window manager gets for a fullscreen change before the window is moved to its screen."""
SETTLE_TRIES = 10
"""Number of checks: a busy window manager acts late, and may move the window back."""
FORGET_KEYS = 0.5
"""Seconds after which a key counts as released, if a fullscreen change swallowed its release."""
ASIDE = 0.5
"""Largest part of another screen's width and height that the window takes while its own screen is away."""
HIDDEN = 0.3
"""Shortest time in seconds between hiding and showing: a window manager notices late that a window is hidden."""


class WindowPlacement:
    """Follows the parameters `out.fullscreen` and `out.screen`, and screens that come and go.

    A screen is requested by number or name. Once used it is remembered by name, because numbers change when screens are
    disconnected. While it is away the window is small, on the first remaining screen; it fills its own screen again
    when that returns. Thread contract: the window's thread only.
    """

    def __init__(self, window: Any, name: str = "", screens: Screens | None = None) -> None:
        """window: pyglet's. name: of the screen to fill, until another number is requested; "" = by number. screens:
        shared with another window, because each change is reported once; None: a new one."""
        self.screens = screens or Screens(window.display)
        self._window = window
        self._name, self._filled_name = name, ""
        self._number = -1
        self._full = self._aside = self._missing_logged = False
        self._shown: Screen | None = None
        self._normal_size = window.get_size()
        self._settle_at: float | None = None
        self._settle_tries = 0
        self._forget_at: float | None = None

    @property
    def fills_a_screen(self) -> bool:
        """True for fullscreen, also if the window manager made it so, which pyglet does not know."""
        width, height = self._window.get_size()
        return self._window.fullscreen or any(s.width <= width and s.height <= height for s in self.screens.all)

    def follow(self, full: bool, number: int, now: float) -> bool:
        """Apply the two parameters `full` and `number`; now: seconds. True if the window changed."""
        self.screens.check(now)
        if number != self._number:
            self._name = "" if self._number >= 0 else self._name
            self._number, self._filled_name, self._missing_logged = number, "", False
        if full != self._full:
            self._full, self._filled_name, self._missing_logged = full, "", False
        screen = self.screens.find(self._filled_name or self._name or number)
        self._log_missing(screen)
        if full and screen is not None:
            self._filled_name = screen.name
        filled, aside = screen if full else None, full and screen is None
        changed = (filled, aside) != (self._shown, self._aside)
        if changed:
            self._show(filled, aside, now)
        self._settle(now)
        return changed

    def keep_off(self, taken: Collection[str], place: tuple[int, int, int, int]) -> None:
        """Move a window that does not fill a screen off the screens of these names, if there is another one. place: x,
        y, width, height on the desktop, pixels."""
        x, y, width, height = place
        here = self.screens.at(x + width / 2, y + height / 2)
        free = next((screen for screen in self.screens.all if screen.name not in taken), None)
        if here is not None and here.name in taken and free is not None and not self._window.fullscreen:
            left, top = max(free.width - width, 0) // 2, max(free.height - height, 0) // 2
            self._window.set_location(free.x + left, free.y + top)

    def next(self) -> int:
        """Change to the screen after the current one; its number, for the parameter."""
        here = self.screens.find(self._filled_name or self._name or self._number)
        number = (here.number + 1 if here else 0) % max(len(self.screens.all), 1)
        screen = self.screens.find(number)
        self._name, self._number, self._missing_logged = "", number, False
        self._filled_name = screen.name if screen else ""
        if screen and not self._full:
            log.log(NOTICE, f"full screen (F) is on screen {screen}")
        return number

    def _log_missing(self, screen: Screen | None) -> None:
        """Log once that the requested screen is missing, and once that it is back."""
        if screen is not None:
            if self._missing_logged:
                log.log(NOTICE, f"screen {screen.name} is here" + ("; the image fills it" if self._full else ""))
            self._missing_logged = False
        elif not self._missing_logged:
            self._missing_logged = True
            gone = f"screen {self._filled_name} is gone" if self._filled_name else ""
            waits = "; the image is in a window until it is connected" if self._full else ""
            log.warning(
                f"{gone or f'there is no screen {self._name or self._number}'}{waits}; "
                f"screens here: {self.screens}; Ctrl+M changes to the next one"
            )

    def _show(self, screen: Screen | None, aside: bool, now: float) -> None:
        """Fill a screen, or be a window: at its earlier size or, `aside`, small on another screen."""
        window, was_aside = self._window, self._aside
        self._shown, self._aside = screen, aside  # set first: a refused change is not tried at every frame
        if not window.fullscreen and not was_aside:
            self._normal_size = window.get_size()
        if window.fullscreen:
            window.set_fullscreen(False, width=self._normal_size[0], height=self._normal_size[1])
        if screen is not None:
            window.set_fullscreen(True, screen=screen.handle)
        elif aside:
            if first := self.screens.find(0):  # else there is no screen at the moment
                window.set_size(*(round(min(size, ASIDE * most)) for size, most in self._sizes(first)))
        elif was_aside:
            window.set_size(*self._normal_size)
        self.settle(now)
        window.set_mouse_visible(False)

    def settle(self, now: float) -> None:
        """Check the window's position for a while, after it was shown or moved."""
        self._settle_at, self._settle_tries = now, SETTLE_TRIES if self._shown or self._aside else 0
        self._forget_at = now + FORGET_KEYS

    def _sizes(self, screen: Screen) -> tuple[tuple[int, int], tuple[int, int]]:
        width, height = self._normal_size
        return (width, screen.width), (height, screen.height)

    def _settle(self, now: float) -> None:
        """Work around window managers and pyglet after a change."""
        if self._forget_at is not None and now >= self._forget_at:
            # On X11 pyglet drops a key press without an earlier release as a key repeat, and the release may be lost.
            self._forget_at = None
            forget_keys(self._window)
        if self._settle_at is None or now < self._settle_at:
            return
        # Some window managers put a fullscreen window on the first screen, whatever was asked; so it is moved once
        # they are done. A small window may be left at the place of its lost screen.
        self._settle_tries -= 1
        self._settle_at = now + SETTLE if self._settle_tries > 0 else None
        x, y = self._window.get_location() or (0, 0)  # EGL has no positions
        if self._shown is not None:
            if (x, y) != (self._shown.x, self._shown.y):
                self._window.set_location(self._shown.x, self._shown.y)
        elif self._aside and (first := self.screens.find(0)):
            width, height = self._window.get_size()
            inside = first.x <= x <= first.x + first.width - width and first.y <= y <= first.y + first.height - height
            if not inside:
                self._window.set_location(first.x + (first.width - width) // 2, first.y + (first.height - height) // 2)


class WindowVisibility:
    """Hides and shows the window (`out.window`). A hidden one keeps its OpenGL context, place, size and full screen.

    Thread contract: the window's thread; `shown` may be read from anywhere.
    """

    def __init__(self, window: Any, shown: bool) -> None:
        """window: pyglet's. shown: whether it is on the screen."""
        self.shown = shown
        self._window = window
        self._place: tuple[int, int] | None = None
        self._changed_at = -HIDDEN

    def follow(self, wanted: bool, now: float) -> bool:
        """Hide or show the window; now: seconds. True if it changed."""
        if wanted == self.shown or 0 <= now - self._changed_at < HIDDEN:
            return False
        self.shown, self._changed_at = wanted, now  # set first: a refused change is not tried at every frame
        if wanted:
            self._show()
        else:
            self._place = self._window.get_location()
            self._window.set_visible(False)
        return True

    def moved(self) -> None:
        """The window was moved while it was hidden: do not restore its earlier place."""
        self._place = None

    def _show(self) -> None:
        """Show the window at its earlier place, without a background, which would be black until the first frame."""
        window = self._window
        leave_unpainted(window)
        keep_place(window, *(self._place or window.get_location()))
        window.set_visible(True)
        forget_place(window)
