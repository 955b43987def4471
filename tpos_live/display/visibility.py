"""Hides and shows the output window while the show goes on: the parameter `out.window`."""

from __future__ import annotations

from typing import Any

from tpos_live.display.seamless import forget_place, keep_place, leave_unpainted

SETTLE = 0.3
"""Shortest time in seconds between two changes: a window manager notices late that a window is hidden."""


class WindowVisibility:
    """A hidden window keeps its OpenGL context, place, size and full screen. Thread contract: the window's thread;
    `shown` may be read from anywhere."""

    def __init__(self, window: Any, shown: bool) -> None:
        """window: pyglet's. shown: whether it is on the screen."""
        self.shown = shown
        self._window = window
        self._place: tuple[int, int] | None = None
        self._changed_at = -SETTLE

    def follow(self, wanted: bool, now: float) -> bool:
        """Hide or show the window; now: seconds. True if it changed."""
        if wanted == self.shown or 0 <= now - self._changed_at < SETTLE:
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
