"""The engine loader: loads the engine while the window is already open, and prepares a faster backend afterwards."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

from tpos_live.core.cores import use_heavy_nice
from tpos_live.core.errors import EngineError, EngineHungError, first_line
from tpos_live.core.frame import Frame
from tpos_live.core.garbage import leave_out_what_is_there, look_at_all, no_search_while_loading
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.messages import NOTICE
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import Settings
from tpos_live.core.timing import Rate
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.engine_watch import CallMeter, EngineWatch
from tpos_live.runtime.failover import FailoverResult
from tpos_live.runtime.status_registry import StatusRegistry

if TYPE_CHECKING:  # they import torch, which takes seconds
    from tpos_live.runtime.keyframe_mode import KeyframeMode
    from tpos_live.runtime.pipeline import Pipeline
    from tpos_live.runtime.render_thread import RenderThread

log = logging.getLogger(__name__)

SLOW = 0.25
"""Seconds per frame from which keyframes are suggested."""
FIRST = 10.0
"""Seconds after which a faster backend is prepared although there is no frame yet."""


class EngineLoader:
    """Loads the engine on a thread of its own and starts the render thread.

    A context manager. `error` holds the reason if there is no engine. `alive` while it loads. Work after the first
    frame is optional: if it fails, the session continues, with a message. An engine that hangs is abandoned, and the
    next fallback gets a render thread of its own (`EngineWatch`)."""

    def __init__(
        self,
        settings: Settings,
        audio_processor: AudioProcessor,
        store: ParameterStore,
        frames: Mailbox[Frame],
        status_registry: StatusRegistry,
    ) -> None:
        """frames: gets the frames."""
        self._settings = settings
        self._audio_processor, self._store, self._frames = audio_processor, store, frames
        self._status_registry = status_registry
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._load, name="loader", daemon=True)
        self._left = threading.Event()
        self._drawn, self._busy = Rate(), Rate()
        self.error: Exception | None = None
        self.may_end = False
        """Whether the session ends with EngineHungError where an engine hangs and no fallback is left; a watchdog
        starts it again."""
        self.renderer: RenderThread | None = None
        self.keyframe_mode: KeyframeMode | None = None
        self.pipeline: Pipeline | None = None
        self.ready = threading.Event()
        """Set when the render thread runs."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End before the block does. It may be called twice."""
        self._left.set()
        if self.ready.is_set() or not self._thread.is_alive():
            self._stack.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def fps(self) -> float:
        """Engine frames per second, in-betweens among them, of the last half second."""
        return self._drawn.at(time.perf_counter(), self.keyframe_mode.drawn if self.keyframe_mode else 0)

    def busy(self) -> float:
        """Share of the last half second in which frames occupied the device, 0 to 1."""
        return min(self._busy.at(time.perf_counter(), self.renderer.busy if self.renderer else 0.0), 1.0)

    def _load(self) -> None:
        use_heavy_nice()  # what it starts inherits it: the render thread, the threads of the libraries
        try:
            self._status_registry.update(engine=self._settings.engine.name)
            self._stack.callback(look_at_all)
            with no_search_while_loading():
                from tpos_live.runtime.pipeline import Pipeline

                encoder = self._audio_processor.encoder
                pipeline = self._stack.enter_context(
                    Pipeline(self._settings, live=True, encoder=encoder, output=self._settings.output_size)
                )
            if self._left.is_set():
                self._stack.close()
                return
            log.log(logging.WARNING if pipeline.refused else logging.INFO, pipeline.message)
            self.pipeline = pipeline
            self._status_registry.add_provider(lambda: _fields(pipeline))
            renderer = self._start(pipeline)
            self._stack.enter_context(EngineWatch(self._calls, lambda seconds: self._leave_hung(pipeline, seconds)))
        except Exception as error:
            self.error = error
            return
        try:
            with suppress(ImportError):
                import av  # noqa: F401  # now, not when a recording begins
            from tpos_live.diffusion.cuda.diagnosis import gpu_remedy

            if remedy := gpu_remedy():
                log.info(remedy)
            self._wait_for_first_frame(renderer)
            offered = self._offer_keyframes(pipeline, 2 * SLOW)
            self._improve(pipeline, renderer)
            leave_out_what_is_there()
            if not offered and renderer.drawn > 1:
                self._offer_keyframes(pipeline, SLOW)
        except Exception as error:
            log.warning(f"not everything could be prepared, the session continues: {first_line(error)}")

    def _start(self, pipeline: Pipeline) -> RenderThread:
        from tpos_live.runtime.keyframe_mode import KeyframeMode
        from tpos_live.runtime.render_thread import RenderThread

        def direct() -> None:
            self._audio_processor.director.abilities = pipeline.abilities

        def fail_over(error: Exception, failures: int) -> FailoverResult | None:
            result = pipeline.fail_over(error, failures)
            direct()
            return result

        direct()
        self._status_registry.update(state="running")
        processor, cap = self._audio_processor, self._settings.engine.fps_cap
        self.keyframe_mode = self._stack.enter_context(
            KeyframeMode(self._store, processor.frame_params, self._frames, lambda: processor.features, cap)
        )
        self.renderer = self._stack.enter_context(
            RenderThread(
                pipeline.generator,
                pipeline.builder,
                processor.frame_params,
                processor.embedding,
                self._store,
                self._frames,
                pipeline.source,
                fps_cap=cap,
                fail_over=fail_over,
                drawer=self.keyframe_mode,
            )
        )
        self.ready.set()
        return self.renderer

    def _calls(self) -> list[CallMeter]:
        parts = (self.renderer, self.keyframe_mode)
        return [part.calls for part in parts if part is not None]

    def _leave_hung(self, pipeline: Pipeline, seconds: float) -> None:
        """Abandon an engine whose call has not returned for `seconds`, and start a fallback. On the watch's thread."""
        renderer, mode = self.renderer, self.keyframe_mode
        if renderer is None or mode is None or self._left.is_set():
            return
        backend = pipeline.generator.backend.name
        hung = EngineHungError(f"{backend} hangs (no answer for {seconds:.0f} s)")
        log.warning(f"{hung}, holding the last frame")
        result = None
        try:
            result = pipeline.fail_over(hung, 1)
        finally:
            if result is None and self.may_end:
                self.error = EngineHungError(f"{hung}, and no fallback is left")
        if result is None:
            log.error(f"{hung}, and no fallback is left: start tpos-live again; --watchdog does it by itself")
        elif not self._left.is_set():
            renderer.abandon()
            mode.abandon()
            self._start(pipeline)
            log.warning(result.line)

    def _wait_for_first_frame(self, renderer: RenderThread) -> None:
        """Wait, for at most FIRST seconds: preparing a backend keeps the interpreter busy and would delay the frame."""
        end = time.perf_counter() + FIRST
        while renderer.drawn == 0 and time.perf_counter() < end and not self._left.wait(0.02):
            pass

    def _offer_keyframes(self, pipeline: Pipeline, slow: float) -> bool:
        """Suggest keyframes by a message if a frame takes `slow` seconds or more on a CPU; whether it did."""
        generator, mode = pipeline.generator, self._store.snapshot()["engine.mode"]
        if generator.on_card or generator.busy_s < slow or mode != "frames":
            return False
        seconds = f"{pipeline.engine.name} takes {generator.busy_s:.1f} s a frame on this computer"
        log.log(
            NOTICE, f"{seconds}; --mode keyframes, or /tpos/engine/mode keyframes, moves the image between its frames"
        )
        return True

    def _improve(self, pipeline: Pipeline, renderer: RenderThread) -> None:
        """Swap in the faster backend once it is ready; the session runs on the slower one meanwhile."""
        interim = pipeline.generator.backend
        try:
            better = pipeline.improve()
        except EngineError as error:
            if not self._left.is_set():
                interim.fallback_reason = str(error)
                log.warning(str(error))
            return
        if better is not None and not self._left.is_set():
            renderer.swap(better)


def _fields(pipeline: Pipeline) -> dict[str, Any]:
    """Fields of the Status: the engine and the backend in use."""
    generator = pipeline.generator
    backend = generator.backend
    return {
        "engine": pipeline.engine.name,
        "backend": backend.name,
        "fallback_reason": backend.fallback_reason,
        "size": generator.size,
    }
