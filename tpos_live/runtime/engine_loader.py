"""Loads the engine beside the window that is up already, and makes a faster one ready behind the show's back."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from tpos_live.core.errors import EngineError, first_line
from tpos_live.core.timing import Rate

if TYPE_CHECKING:
    from tpos_live.runtime.live_session import LiveSession

FIRST = 10.0
"""Seconds after which a better accelerator is made ready although there is no picture yet."""


class EngineLoader:
    """Loads the engine on a thread of its own and starts the renderer.

    A context manager. `error` holds why there is no engine. `alive` while it loads. What is done once there is a
    picture is optional: where it fails, the show goes on, with a line.
    """

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._load, name="loader", daemon=True)
        self._left = threading.Event()
        self._drawn, self._busy = Rate(), Rate()
        self.error: Exception | None = None
        self.renderer: Any = None
        self.pipeline: Any = None
        self.ready = threading.Event()
        """Set when the renderer runs."""

    def __enter__(self) -> EngineLoader:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._left.set()
        if self.ready.is_set() or not self._thread.is_alive():
            self._stack.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def fps(self) -> float:
        """Engine pictures a second, of the last half second."""
        return self._drawn.at(time.perf_counter(), self.renderer.drawn if self.renderer else 0)

    def busy(self) -> float:
        """Share of the last half second in which pictures kept the device, 0 to 1."""
        return min(self._busy.at(time.perf_counter(), self.renderer.busy if self.renderer else 0.0), 1.0)

    def _first_picture(self) -> None:
        """Wait for it, a while: making an accelerator ready keeps Python busy, and nobody wants to see that."""
        end = time.perf_counter() + FIRST
        while self.renderer.drawn == 0 and time.perf_counter() < end and not self._left.wait(0.02):
            pass

    def _improve(self) -> None:
        """Swap in the faster accelerator once it is ready; the show runs on the slower one meanwhile."""
        status_registry = self._session.status_registry
        try:
            better = self.pipeline.improve()
        except EngineError as error:
            if not self._left.is_set():
                status_registry.update(accelerator_why=str(error))
                status_registry.report(str(error))
            return
        if better is not None and not self._left.is_set():
            self.renderer.swap(better)
            status_registry.update(accelerator=better.name, accelerator_why=better.fallback_reason)

    def _tell(self) -> None:
        """Say on the board what draws."""
        engine, painter = self.pipeline.engine, self.pipeline.painter
        self._session.status_registry.update(
            engine=engine.name,
            accelerator=painter.backend.name,
            accelerator_why=painter.backend.fallback_reason,
            size=painter.size,
        )

    def _fail_over(self, error: Exception, failures: int) -> Any:
        result = self.pipeline.fail_over(error, failures)
        if result is not None:
            self._tell()
        return result

    def _load(self) -> None:
        session = self._session
        try:
            session.status_registry.update(engine=session.settings.engine.name)
            from tpos_live.diffusion.cuda.diagnosis import gpu_remedy
            from tpos_live.runtime.pipeline import Pipeline
            from tpos_live.runtime.render_thread import RenderThread

            encoder, output = session.audio_processor.encoder, session.output_size
            pipeline = self._stack.enter_context(Pipeline(session.settings, live=True, encoder=encoder, output=output))
            if self._left.is_set():
                return
            session.say(pipeline.note)
            if pipeline.painter.notice:
                session.status_registry.report(pipeline.painter.notice)
            self.pipeline = pipeline
            self._tell()
            session.status_registry.update(state="running")
            self.renderer = self._stack.enter_context(
                RenderThread(
                    pipeline.painter,
                    pipeline.builder,
                    session.audio_processor.frame_params,
                    session.audio_processor.embedding,
                    session.store,
                    session.frames,
                    fps_cap=session.settings.engine.fps_cap,
                    report=session.status_registry.report,
                    fail_over=self._fail_over,
                )
            )
            self.ready.set()
        except Exception as error:
            self.error = error
            return
        try:
            with suppress(ImportError):
                import av  # noqa: F401  # now, and not when somebody presses "record"
            if remedy := gpu_remedy():
                session.say(remedy)
            self._first_picture()
            self._improve()
        except Exception as error:
            session.status_registry.report(f"not all could be made ready, the show goes on: {first_line(error)}")
