"""The window on the main thread: shows the newest frame at the display's rate, independent of all other threads."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Self

import numpy as np

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.guard import Guard
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.status import Status
from tpos_live.display.interpolator import DisplayFrame, FrameInterpolator
from tpos_live.display.keyboard import describe_layout, forget_keys
from tpos_live.display.open_window import SOFTWARE_CAP, load_triton, open_window
from tpos_live.display.output import Output
from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.pacing import Pacer, ShownMeter
from tpos_live.display.placement import WindowPlacement, WindowVisibility
from tpos_live.display.screen_window import ScreenWindows
from tpos_live.display.screens import Screens
from tpos_live.display.window_view import window_view

log = logging.getLogger(__name__)

WAITING = 0.1
"""Seconds between two frames of the start screen: it shares the Python interpreter with the loading engine."""
PLACED = 0.5
"""Seconds between two queries of the window's position."""

Place = tuple[int, int, int, int]
"""x, y, width, height of a window's content on the desktop, pixels."""
OnKey = Callable[[str, frozenset[str]], None]


class DisplayWindow:
    """Thread contract: created, run and closed on the main thread. It takes frames from `frames`, and calls the given
    functions, which must not wait; `close_soon` may be called from anywhere."""

    def __init__(
        self,
        frames: Mailbox[Frame],
        params: Callable[[], FrameParams],
        snapshot: Callable[[], Snapshot],
        status: Callable[[], Status] = Status,
        *,
        on_key: OnKey | None = None,
        on_refresh: Callable[[float], None] | None = None,
        screen: str = "",
        size: tuple[int, int] = (1280, 720),
        fps_cap: float = 0.0,
        headless: bool = False,
    ) -> None:
        """on_key: gets pyglet's name, in lower case, of what a US keyboard writes on that key ("f", "f11", "_1",
        "num_add", "escape"), and the held modifiers among "ctrl", "shift", "alt". on_refresh: called once per refresh
        with the time, before drawing. screen: name of the screen for fullscreen; "" = by its number, the parameter
        `out.screen`. fps_cap: 0 = the display's rate, or SOFTWARE_CAP where the CPU draws. headless: draw without a
        display (EGL), for tests."""
        self.outputs: list[Output] = []
        """Receivers of the composed frames; open them first. The frame size is fixed meanwhile."""
        self.screen_windows = ScreenWindows()
        """Outputs on screens of their own; the frame has their size. Set them before `run`."""
        self.overlay: OutputTransform | None = None
        """Drawn over the frame on the window; other outputs have their own."""
        self.page_address: Callable[[], str] = str
        """The control page's address, "" for none; asked once a second while its code is shown."""
        self.on_close: Callable[[], bool] = lambda: False
        """Called when the window's close button is pressed; False ends `run`."""
        self.closing = False
        self.shown: DisplayFrame | None = None
        """The last drawn frame; any thread may read it."""
        self.place: Place = (0, 0, 0, 0)
        """Place of the window, or its last place before it was hidden, updated twice a second; any thread may read
        it."""
        self.continues: Place | None = None
        """Set before entering: the place of another show's window, to take over. The window appears with a frame."""
        self.interpolator = FrameInterpolator()
        self._frames, self._frame_params, self._snapshot, self._status = frames, params, snapshot, status
        self._on_key, self._on_refresh = on_key, on_refresh
        self._size, self._cap, self._headless = size, fps_cap, headless
        self._composed_size = (0, 0)
        self._screen = screen
        self.meter = ShownMeter()
        self._pending_reads: deque[list[Output]] = deque()
        self._heard_at = self._placed_at = 0.0
        self._placing, self._hiding = Guard(log, "the window's place"), Guard(log, "the window's closing and opening")

    def __enter__(self) -> Self:
        """Open the window. Raises DisplayError where there is no display or no OpenGL 3.3."""
        visible = self.continues is None and bool(self._snapshot()["out.window"])
        load_triton()
        self._window = open_window(self._size, self._headless, visible=visible)
        self._visibility = WindowVisibility(self._window, visible)
        if self.continues is not None:
            self._window.set_size(*self.continues[2:])
            self._window.set_location(*self.continues[:2])
        from pyglet.window import key

        from tpos_live.display.gl_compositor import GlCompositor, is_software, renderer_name
        from tpos_live.display.window_presenter import WindowPresenter
        from tpos_live.display.window_text import WindowText

        self._key = key
        self.renderer = renderer_name()
        """Name of the graphics driver."""
        self.software = is_software(self.renderer)
        try:
            self._window.switch_to()
            self._compositor = GlCompositor()
            self._presenter = WindowPresenter()
            self._text = WindowText(self.meter, lambda: self._placement.fills_a_screen, lambda: self.page_address())
        except BaseException:
            self._window.close()
            raise
        self._window.set_mouse_visible(False)
        self._placement = WindowPlacement(self._window, self._screen)
        self._window.push_handlers(
            on_key_press=self._key_pressed, on_deactivate=self._forget_keys, on_close=self._close_pressed
        )
        self._pacer = self._new_pacer()
        return self

    def __exit__(self, *exc: object) -> None:
        self.screen_windows.close()
        self._window.close()

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Run until the window is closed, `close_soon` is called or `until()` is true."""
        while not self.closing and not until():
            self.step(time.perf_counter())
            before = time.perf_counter()
            if self._visibility.shown:
                self._window.flip()
            else:  # the flip of a hidden window may block for a second, or for ever
                self._compositor.flush()
            now = time.perf_counter()
            self.screen_windows.flip()
            self.meter.note(now, self.interpolator.newest, self._heard_at)
            pause = self._pacer.after_flip(now, now - before)
            if self.interpolator.newest is None:
                pause = max(pause, WAITING)
            if pause > 0:
                time.sleep(pause)

    def close_soon(self) -> None:
        """End `run` after this frame."""
        self.closing = True

    def step(self, now: float) -> None:
        """Handle events, compose and draw one frame; `run` flips it."""
        self._window.switch_to()
        self._window.dispatch_events()
        if self._on_refresh is not None:
            self._on_refresh(now)
        snapshot, status = self._snapshot(), self._status()
        with self._placing:
            self._follow(snapshot, now)
        if self.screen_windows:
            self.screen_windows.follow(snapshot, self._placement.screens, now, self._key_pressed, self._headless)
            self._window.switch_to()
        self.interpolator.take(self._frames.take())
        params = self._frame_params()
        self._heard_at = params.heard_at
        display_frame = self.shown = self.interpolator.display_frame(now, params, snapshot)
        window, view = self._window.get_framebuffer_size(), window_view(snapshot)
        if not any(output.fixed_size for output in self.outputs) or self._composed_size == (0, 0):
            width, height = self.screen_windows.frame_size or view.turned(window)
            self._composed_size = self.interpolator.size = max(width, 1), max(height, 1)
        self._compositor.compose(
            display_frame.postfx, display_frame.newest, display_frame.previous, self._composed_size
        )
        with self._hiding:
            self._follow_visibility(bool(snapshot["out.window"]), now)
        if self._visibility.shown:
            window = self._window.get_framebuffer_size()
            blackout = display_frame.postfx.blackout
            self._presenter.draw(self._compositor.composed, view, self.overlay, window, blackout)
        self._feed_outputs(now)
        self._text.follow(status.message, now)
        if self._visibility.shown:
            self._text.draw(status, snapshot, display_frame, window, now)
        if self.screen_windows:
            self.screen_windows.draw(self._compositor, snapshot, display_frame.postfx.blackout)
            self._window.switch_to()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the composed frame in pixels."""
        return self._composed_size

    @property
    def hidden(self) -> bool:
        """True while the window is closed; any thread may read it."""
        return not self._visibility.shown and self.continues is None

    def read_back(self) -> np.ndarray:
        """The composed frame without HUD: uint8 [height, width, 3]. After `step`; waits for the GPU."""
        self._window.switch_to()
        return self._compositor.read()

    def read_window(self) -> np.ndarray:
        """The window's content, HUD included: uint8 [height, width, 3]. Before the flip."""
        self._window.switch_to()
        return self._compositor.read_window(self._window.get_framebuffer_size())

    @property
    def screens(self) -> Screens:
        """The screens of this machine."""
        return self._placement.screens

    def describe_layout(self, letters: str) -> str:
        """One line if the keyboard layout writes some of these letters on other keys than a US keyboard."""
        return describe_layout(self._window.display, letters)

    def next_screen(self) -> int:
        """Change to the next screen; its number, for the parameter `out.screen`."""
        return self._placement.next()

    def _feed_outputs(self, now: float) -> None:
        """Start reads for the outputs that want this frame, and send completed reads."""
        if not self.outputs:
            self._compositor.drop_reads()
            self._pending_reads.clear()
            return
        wanting = [output for output in self.outputs if output.wants(now)]
        if wanting:
            self._compositor.begin_read(now)
            self._pending_reads.append(wanting)
        for shown_at, pixels in self._compositor.finish_reads():
            for output in self._pending_reads.popleft():
                output.send(pixels, shown_at)

    def _follow(self, snapshot: Snapshot, now: float) -> None:
        """Apply the parameters of the window itself."""
        if self._placement.follow(bool(snapshot["out.fullscreen"]), int(snapshot["out.screen"]), now):
            self._pacer = self._new_pacer()
            if not self._visibility.shown:
                self._visibility.moved()
        known = self.hidden and self.place[2]
        if now - self._placed_at > PLACED and not self._headless and not known:
            self._placed_at = now
            self.place = (*self._window.get_location(), *self._window.get_framebuffer_size())
            if taken := self.screen_windows.taken:  # the audience must not see the HUD
                self._placement.keep_off(taken, self.place)

    def _follow_visibility(self, wanted: bool, now: float) -> None:
        """Show or hide the window. Call it with a composed frame, with which the window appears."""
        changed = self._visibility.follow(wanted, now)
        self.continues = None
        if not changed:
            return
        self._forget_keys()
        self._pacer.restart()  # a hidden window has no display to wait for
        if wanted:
            self._placement.settle(now)

    def _new_pacer(self) -> Pacer:
        try:
            refresh = float(self._window.screen.get_mode().rate or 0)
        except Exception:  # No mode (Xvfb, EGL): use the fallback rate.
            refresh = 0.0
        return Pacer(refresh, self._cap or (SOFTWARE_CAP if self.software else 0.0))

    def _key_pressed(self, symbol: int, modifiers: int) -> bool:
        key = self._key
        held = {"ctrl": key.MOD_CTRL | key.MOD_COMMAND, "shift": key.MOD_SHIFT, "alt": key.MOD_ALT}
        names = frozenset(name for name, bits in held.items() if modifiers & bits)
        name = key.symbol_string(symbol).lower()
        if name == "q" and "ctrl" in names:
            self.closing = True
        elif self._on_key is not None:
            self._on_key(name, names)
        return True  # Handled: otherwise pyglet closes the window on Esc.

    def _forget_keys(self) -> None:
        forget_keys(self._window)

    def _close_pressed(self) -> bool:
        self.closing = self.closing or not self.on_close()
        return True  # The window itself is closed when the show has ended.
