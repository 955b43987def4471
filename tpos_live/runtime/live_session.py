"""The live session: the composition root, which creates the parts and starts and stops their threads.

Threads: the audio device's callback and its supervisor, the audio thread (audio to FrameParams), the loader and then
the render thread (FrameParams to Frame), the text encoder, OSC receiver, parser and feedback, the recorder, the screen
saver's inhibitor, the control page; the display has the main thread.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from tpos_live.audio.open import open_source
from tpos_live.audio.source import AudioSource
from tpos_live.audio_encoder.load import open_encoder
from tpos_live.control.keys import LETTERS
from tpos_live.control.osc_server import OscControl
from tpos_live.core.cores import set_heavy_nice
from tpos_live.core.frame import Frame
from tpos_live.core.heap import share_arenas, small_pages
from tpos_live.core.looks import Show
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.paths import state_dir
from tpos_live.core.port_claims import PortClaims
from tpos_live.core.setting_values import parse_address, parse_screen
from tpos_live.core.settings import Settings
from tpos_live.display.screen_saver import ScreenSaverInhibitor
from tpos_live.display.window import DisplayWindow
from tpos_live.runtime.audio_thread import AudioProcessor, AudioThread
from tpos_live.runtime.autosave import ShowState
from tpos_live.runtime.engine_loader import EngineLoader
from tpos_live.runtime.performance import Performance
from tpos_live.runtime.session_controls import SessionControls
from tpos_live.runtime.status_fields import frame_fields, sound_fields
from tpos_live.runtime.status_registry import StatusRegistry
from tpos_live.runtime.watchdog import UNWATCHED, Run
from tpos_live.web.control_page import ControlPage
from tpos_live.web.preview import Preview
from tpos_live.web.thumbnails import LookImages

if TYPE_CHECKING:  # pipeline and render thread import torch, which takes seconds
    from tpos_live.display.headless import HeadlessDisplay
    from tpos_live.runtime.demo import DemoPrompts
    from tpos_live.runtime.pipeline import Pipeline
    from tpos_live.runtime.render_thread import RenderThread

log = logging.getLogger(__name__)


class LiveSession:
    """A context manager: entering starts every thread, leaving ends them within a second.

    Thread contract: created, entered, run and left on the main thread.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        demo: bool = False,
        stop: threading.Event | None = None,
        sound: AudioSource | None = None,
        headless_gl: bool = False,
        page: bool = False,
        run: Run = UNWATCHED,
    ) -> None:
        """sound: a source in place of the one in the settings (measurements). headless_gl: draw with OpenGL but without
        a display (measurements). page: with the control page, unless the settings turn it off. run: of a watchdog, if
        there is one; after a death the show waits for a missing input."""
        small_pages()
        self.settings, self._demo, self._stop = settings, demo, stop or threading.Event()
        self._headless_gl = headless_gl
        self.store = ParameterStore(settings.start_values())
        self.status_registry = StatusRegistry(self.store)
        self.frames: Mailbox[Frame] = Mailbox()
        encoder, why = open_encoder()
        if why:
            log.info(why)
        self.performance = Performance(settings, self.store, lambda: self.sound.passed, self._looks_changed)
        self.looks = self.performance.looks
        self.audio_processor = AudioProcessor(encoder, self._delay, beat_source=self.performance.beat_source)
        self.sound = sound or open_source(settings.sound, demo=demo, required=run.deaths == 0)
        self.display: DisplayWindow | HeadlessDisplay = self._make_display()
        self.controls = SessionControls(self.store, self.sound, settings.record, settings.output)
        self._audio_thread = AudioThread(self.sound, self.audio_processor, self.store, self.controls.audio_sinks)
        self.engine_loader = EngineLoader(settings, self.audio_processor, self.store, self.frames, self.status_registry)
        claims = PortClaims(state_dir(), run.watchdog)
        self.osc = OscControl(
            self.store,
            self.status_registry.status,
            settings.osc.host,
            settings.osc.port,
            [parse_address(reply) for reply in settings.osc.reply],
            (lambda: self.audio_processor.features) if settings.osc.audio else None,
            settings.osc.allow,
            claims,
        )
        self.page = ControlPage(
            self.store,
            self.status_registry.status,
            lambda: self.looks.show,
            settings.web.host,
            settings.web.port if page and not settings.web.off else 0,
            Preview(lambda: self.display.shown, lambda: self.display.size),
            lambda: (settings.osc.host, self.osc.port),
            LookImages(state_dir() / "looks"),
            settings.osc.allow,
            claims,
            run.token,
        )
        self._stack, self._ending_at = ExitStack(), 0.0
        self._prompts: DemoPrompts | None = None

    @property
    def loading(self) -> bool:
        """True while the engine is loaded, or a faster backend prepared."""
        return self.engine_loader.alive

    @property
    def renderer(self) -> RenderThread | None:
        """None while loading."""
        return self.engine_loader.renderer

    @property
    def pipeline(self) -> Pipeline | None:
        """None while loading."""
        return self.engine_loader.pipeline

    def __enter__(self) -> Self:
        settings, stack = self.settings, self._stack
        # The audio threads must not wait 5 ms, Python's default, for the interpreter.
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(0.001)
        set_heavy_nice(settings.engine.nice)
        share_arenas()
        try:
            stack.enter_context(self.status_registry)
            stack.enter_context(self.performance)
            stack.enter_context(self.osc)
            stack.enter_context(self.page)
            stack.enter_context(self.display)
            if isinstance(self.display, DisplayWindow):
                self.display.overlay = self.controls.overlay
                self.display.screen_windows = self.controls.outputs.screens
                if not self._demo:  # a demo ends with its window: it is somebody's first show
                    page, osc = self.page, self.osc
                    self.display.on_close = lambda: self.controls.close_pressed(bool(page.port), bool(osc.port))
                self.display.page_address = lambda: self.page.address if self.page.port else ""
                if not self._headless_gl:
                    stack.enter_context(ScreenSaverInhibitor())
                if line := self.display.describe_layout(LETTERS):
                    log.info(line)
            elif self.controls.outputs.screens:
                log.warning("--headless has no windows: the outputs screen:… show nothing")
            stack.enter_context(self._audio_thread)
            self.status_registry.update(state="loading", encoder=self.audio_processor.encoder.name)
            self.status_registry.add_provider(self._sound_fields)
            self.status_registry.add_provider(self._frame_fields)
            self.status_registry.add_provider(self.performance.fields)
            stack.enter_context(self.engine_loader)
            stack.callback(self.status_registry.update, state="stopping")
            if self.osc.port:
                log.info(f"OSC on {settings.osc.host}:{self.osc.port}, loading the engine …")
        except BaseException:
            stack.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        failed = exc[0] is not None
        self.page.withdraw()
        try:
            # The engine ends while the recording's last frames are written, and leaves its cores to their encoder.
            self.controls.end(self.display, failed=failed)
            self.engine_loader.close()
        finally:
            try:
                self.controls.close(self.display, failed=failed)
            finally:
                self._stack.close()

    def run(self) -> None:
        """Run until the window is closed, Ctrl-C, the end of a file, or `seconds`.

        Raises errors that prevent the start: AudioError, EngineError.
        """
        if self.settings.seconds:
            self._ending_at = time.perf_counter() + self.settings.seconds
        self.run_until(lambda: False)

    def run_until(self, done: Callable[[], bool]) -> None:
        """Run until `done()` is true (measurements), or as `run` ends."""
        self.display.run(lambda: done() or self._over())
        error = self._audio_thread.error or self.engine_loader.error
        if error is not None:
            raise error

    def _over(self) -> bool:
        ended = self._ending_at and time.perf_counter() >= self._ending_at
        return bool(
            self._stop.is_set()
            or self._audio_thread.ended.is_set()
            or ended
            or self._audio_thread.error
            or self.engine_loader.error
        )

    def _make_display(self) -> DisplayWindow | HeadlessDisplay:
        settings = self.settings
        if settings.window.headless:
            from tpos_live.display.headless import HeadlessDisplay  # imports torch, which takes seconds

            return HeadlessDisplay(
                self.frames,
                lambda: self.audio_processor.params,
                self.store.snapshot,
                on_refresh=self._refresh_headless,
                size=settings.output_size,
                fps_cap=float(settings.record.fps),
            )
        screen = parse_screen(settings.window.screen)
        return DisplayWindow(
            self.frames,
            lambda: self.audio_processor.params,
            self.store.snapshot,
            self.status_registry.status,
            on_key=lambda name, modifiers: self.controls.key(name, modifiers, self.display),
            on_refresh=self._refresh,
            screen=screen if isinstance(screen, str) else "",
            size=settings.output_size,
            headless=self._headless_gl,
        )

    def state(self) -> ShowState:
        """The state from which `resume` continues. Any thread may call it."""
        return self.performance.state(self.audio_processor.params, self.audio_processor.director.memory)

    def resume(self, state: ShowState) -> None:
        """Continue a show that crashed. Call it before entering."""
        self.performance.resume(state)
        self.audio_processor.resume(state.integrated, state.directed, self.store.snapshot())

    def change_prompts(self) -> None:
        """Let the demo's prompts follow its track, unless the settings name prompts."""
        from tpos_live.runtime.demo import DemoPrompts

        if DemoPrompts.wanted(self.settings):
            self._prompts = DemoPrompts(self.store)
            self._prompts.update(0.0)

    def _refresh(self, _now: float) -> None:
        if self._prompts is not None:
            self._prompts.update(self.audio_processor.params.time)
        self.controls.update(self.display)
        self.performance.step(self.audio_processor.features, self.audio_processor.params.cut_index)

    def _looks_changed(self, show: Show) -> None:
        self.page.thumbnails.follow(show)

    def _refresh_headless(self, now: float) -> None:
        self._refresh(now)
        # A window reads the status to draw it. Without one, this call logs the messages of the providers.
        self.status_registry.status()

    def _delay(self) -> float:
        """Seconds from sound in the room to its light on the screen, as far as measurable."""
        return self.display.meter.delay + self.sound.passed

    def _sound_fields(self) -> dict[str, Any]:
        if not self._audio_thread.opened.is_set():
            return {}
        problem = self.pipeline.problem if self.pipeline else ""
        return sound_fields(self.sound, self.audio_processor, problem)

    def _frame_fields(self) -> dict[str, Any]:
        return {
            **frame_fields(self.engine_loader, self.controls),
            "shown_fps": self.display.meter.fps,
            "latency_ms": self.display.meter.latency_ms,
            "frames_replaced": self.frames.replaced,
            "osc_bad": self.osc.bad,
        }
