"""A window that fills a screen with its part of the frame: an output screen:NAME, beside the output window."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tpos_live.core.guard import Guard
from tpos_live.core.messages import NOTICE
from tpos_live.core.output_names import OutputSpec
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.parameters import WALLS
from tpos_live.display.keyboard import forget_keys
from tpos_live.display.open_window import open_window
from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.placement import WindowPlacement
from tpos_live.display.screens import Screen, Screens
from tpos_live.display.seamless import forget_place, keep_place, leave_unpainted
from tpos_live.display.window_view import wall_view

if TYPE_CHECKING:  # they need an OpenGL context
    from tpos_live.display.gl_compositor import GlCompositor
    from tpos_live.display.gl_objects import Texture
    from tpos_live.display.window_presenter import WindowPresenter

log = logging.getLogger(__name__)

LONGEST = 8192
"""Largest side, in pixels, of the frame that a screen asks for."""
AGAIN = 8.0
"""Seconds until a window that could not be opened is tried again."""


@dataclass(frozen=True)
class Handlers:
    """Callbacks of a window. key: gets pyglet's symbol and modifiers of a key; True: handled. close: its close button
    was pressed; gets its number and name. headless: it is drawn without a display (EGL), for tests."""

    key: Callable[[int, int], bool]
    close: Callable[[int, str], None]
    headless: bool = False


class ScreenWindow:
    """The window on one screen: open while that is connected and `out.wall.NUMBER` is on. Its OpenGL context shares the
    composed frame with that of the output window. Only the output window waits for its display.

    Thread contract: the window's thread only; `line` may be read from anywhere.
    """

    def __init__(self, spec: OutputSpec, number: int, overlay: OutputTransform) -> None:
        """spec: of the kind SCREEN. number: of its parameters `out.wall.NUMBER`. overlay: logo and test card."""
        self.name, self.number = spec.name, number
        self.guard = Guard(log, f"the show without {self.name}")
        """For calls of `follow` and `draw`, which raise the system's errors."""
        self.frame_size = (0, 0)
        """(width, height) of a frame whose part fills this screen; (0, 0) until the screen was there once."""
        self._wanted: int | str = int(spec.address) if spec.address.isdecimal() else spec.address
        self._view, self._overlay = spec.view, overlay
        self._window: Any = None
        self._presenter: WindowPresenter
        self._placement: WindowPlacement
        self._missing_logged = False
        self._again_at = float("-inf")
        self._state = "failed"

    @property
    def screen(self) -> str:
        """Name of the screen that it fills; "" for none now."""
        return str(self._wanted) if self._window is not None else ""

    @property
    def line(self) -> str:
        """For the status: its size, "closed", or "failed" without its screen."""
        return f"{self.name} {self._state}"

    def follow(self, wanted: bool, screens: Screens, now: float, on: Handlers) -> None:
        """Open the window if it is wanted and its screen is connected, else close it. now: seconds. Another context is
        current afterwards."""
        screen = screens.find(self._wanted)
        if not wanted:
            self.close()
            self._state = "closed"
        elif screen is None or (self._window is None and now < self._again_at):
            self.close()
            self._log_missing(screens if screen is None else None)
        else:
            self._fill(screen, screens, now, on)

    def _fill(self, screen: Screen, screens: Screens, now: float, on: Handlers) -> None:
        if self._window is None:
            self._again_at = now + AGAIN
            self._open(screen, screens, on)
            self._again_at = float("-inf")
            self._wanted = screen.name  # its number changes when another one is disconnected
            self._log_here(screen)
        self._placement.follow(True, screen.number, now)
        self._state = f"{screen.width}x{screen.height}"
        self.frame_size = self._whole(screen)
        self._window.switch_to()
        self._window.dispatch_events()

    def draw(self, frame: Texture, done: Any, snapshot: Snapshot, black: bool) -> None:
        """Draw its part of the composed frame. done: fence behind the frame, in the context that composed it. black:
        whether in blackout. Its own context is current afterwards."""
        if self._window is not None:
            from pyglet import gl

            self._window.switch_to()
            gl.glWaitSync(done, 0, gl.GL_TIMEOUT_IGNORED)  # the GPU waits, not this thread
            view, size = wall_view(self._view, snapshot, self.number), self._window.get_framebuffer_size()
            self._presenter.draw(frame, view, self._overlay, size, black)

    def flip(self) -> None:
        """Show what was drawn, without waiting for the display."""
        if self._window is not None:
            self._window.flip()

    def close(self) -> None:
        """Close the window. Another context, or none, is current afterwards."""
        self._state = "failed"
        if self._window is not None:
            window, self._window = self._window, None
            window.close()

    def _open(self, screen: Screen, screens: Screens, on: Handlers) -> None:
        """Raises DisplayError. Placed before it is shown: a window manager may show it on another screen first."""
        from tpos_live.display.window_presenter import WindowPresenter

        window = open_window((screen.width, screen.height), on.headless, False, f"tpos-live {self.name}", vsync=False)
        try:
            window.switch_to()
            self._presenter = WindowPresenter()
            self._placement = WindowPlacement(window, screen.name, screens)
            self._placement.follow(True, screen.number, 0.0)
            leave_unpainted(window)
            keep_place(window, screen.x, screen.y)
            window.set_visible(True)
            forget_place(window)
            window.set_mouse_visible(False)
            # It may get the focus when it opens, so the keys of the show work here too.
            window.push_handlers(
                on_key_press=on.key, on_deactivate=lambda: forget_keys(window), on_close=lambda: self._close_pressed(on)
            )
        except BaseException:
            window.close()
            raise
        screens.doubt()  # pyglet drops events of the X server while it waits for a window
        self._window = window

    def _close_pressed(self, on: Handlers) -> bool:
        if self.number <= WALLS:
            on.close(self.number, self.name)
        return True  # The window itself is closed by `follow`.

    def _whole(self, screen: Screen) -> tuple[int, int]:
        """(width, height) of a frame whose part has the pixels of this screen."""
        left, top, right, bottom = self._view.crop
        width, height = self._view.turned((screen.width, screen.height))
        wide, high = width / (right - left), height / (bottom - top)
        scale = min(1.0, LONGEST / max(wide, high))
        return round(scale * wide), round(scale * high)

    def _log_missing(self, screens: Screens | None) -> None:
        if screens is not None and not self._missing_logged:
            self._missing_logged = True
            what = f"screen {self._wanted} is gone" if self.frame_size[0] else f"there is no screen {self._wanted}"
            log.warning(f"{self.name}: {what}; it is used once it is connected; screens here: {screens}")

    def _log_here(self, screen: Screen) -> None:
        if self._missing_logged:
            log.log(NOTICE, f"{self.name}: screen {screen.name} is here")
        self._missing_logged = False


class ScreenWindows:
    """All screen windows. A failure of one is logged once, and does not affect the others.

    Thread contract: as `ScreenWindow`; another context, or none, is current after each call.
    """

    def __init__(self, windows: list[ScreenWindow] | None = None) -> None:
        self._windows = windows or []
        self.on_close: Callable[[int, str], None] = lambda number, name: None
        """Called when the close button of a window with parameters is pressed; gets its number and name."""

    def __bool__(self) -> bool:
        return bool(self._windows)

    @property
    def lines(self) -> list[str]:
        """The lines of all windows, for the status."""
        return [window.line for window in self._windows]

    @property
    def taken(self) -> set[str]:
        """Names of the screens that they fill."""
        return {window.screen for window in self._windows if window.screen}

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """(width, height) of a frame that is large enough for these screens, of the shape that the largest one asks
        for; None while none of them was there."""
        sizes = [window.frame_size for window in self._windows if window.frame_size[0]]
        return max(sizes, key=lambda size: size[0] * size[1], default=None)

    def follow(
        self, snapshot: Snapshot, screens: Screens, now: float, on_key: Callable[[int, int], bool], headless: bool
    ) -> None:
        """`ScreenWindow.follow` for each window. on_key: see `Handlers.key`."""
        on = Handlers(on_key, self.on_close, headless)
        for window in self._windows:
            with window.guard:
                wanted = window.number > WALLS or bool(snapshot[f"out.wall.{window.number}"])
                window.follow(wanted, screens, now, on)

    def draw(self, compositor: GlCompositor, snapshot: Snapshot, black: bool) -> None:
        """Draw what was composed in the context that is current; black: whether in blackout."""
        done = compositor.fence()
        for window in self._windows:
            with window.guard:
                window.draw(compositor.composed, done, snapshot, black)

    def flip(self) -> None:
        """Show what was drawn."""
        for window in self._windows:
            window.flip()

    def close(self) -> None:
        """Close all windows."""
        for window in self._windows:
            window.close()
