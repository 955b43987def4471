"""The render thread: takes the newest inputs, renders, and puts the frame into a mailbox."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Protocol

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.builder import ConditioningBuilder
from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.errors import first_line
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.guard import Guard
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.timing import FrameGrid
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.backend import Backend
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.image_source.player import ImageProvider
from tpos_live.runtime.engine_watch import CallMeter
from tpos_live.runtime.extrapolator import FrameParamsExtrapolator
from tpos_live.runtime.failover import FailoverResult

log = logging.getLogger(__name__)

STOP_CHECK = 0.05
"""Longest wait in seconds before the stop flag is checked."""
_LATE = 0.03
"""Seconds without new FrameParams after which the next frame is rendered from extrapolated ones."""
RETRY = 0.25
"""Seconds from a failed frame to the next attempt; the display holds the last frame meanwhile."""


class Drawer(Protocol):
    """Draws in place of the render thread (see `KeyframeMode`)."""

    def wait(self, now: float) -> float: ...

    def draw(
        self, generator: FrameGenerator, request: FrameRequest, meanwhile: Callable[[], object] | None
    ) -> None: ...


class RenderThread(OwnThread):
    """Renders while it is entered.

    It waits only for the fps cap and briefly for new FrameParams: an audio device that hangs does not stop the frames.
    A GPU, which is faster than FrameParams come (one per 10 ms of audio), does not wait for them. Prompts, embeddings
    and parameters are read as they are. A failed frame is logged once; the last frame stays, and the thread retries,
    or continues with the result of `fail_over`.

    Thread contract: the thread owns `generator` and `builder`; `frames` is its output. `swap`, `drawn`, `failed` and
    `error` may be used from anywhere, `abandon` and `calls` too. `swap` waits for a failover that has begun.
    """

    def __init__(
        self,
        generator: FrameGenerator,
        builder: ConditioningBuilder,
        frame_params: Mailbox[FrameParams],
        embeddings: Mailbox[AudioEmbedding],
        store: ParameterStore,
        frames: Mailbox[Frame],
        source: ImageProvider | None = None,
        fps_cap: float = 0.0,
        fail_over: Callable[[Exception, int], FailoverResult | None] = lambda error, failures: None,
        clock: Callable[[], float] = time.monotonic,
        drawer: Drawer | None = None,
    ) -> None:
        """source: images that frames are drawn from, None for none. fail_over: called on the render thread
        after a failed frame with the number of failures in a row; returns what to continue with, None to retry.
        clock: of the fps cap, seconds. drawer: draws each request, and puts frames at its own pace; None: each request
        gives one frame in `frames`."""
        super().__init__("render", patience=1.0)
        self._generator = generator
        self._builder = builder
        self._frame_params = frame_params
        self._embeddings = embeddings
        self._store = store
        self._frames = frames
        self._source = source
        self._grid = FrameGrid(fps_cap)
        self._fail_over = fail_over
        self._clock, self._drawer = clock, drawer
        self._in_a_row = 0
        self._failed_over = self._abandoned = False
        self.calls = CallMeter(clock)
        """Durations of the calls into the engine."""
        self._next: Backend | None = None
        self._changing = threading.Lock()
        """Held while the next generator or backend is chosen: a backend of a failed engine must not reach the next
        one."""
        self._extrapolator = FrameParamsExtrapolator()
        self._ahead: Conditioning | None = None
        self.drawn = 0
        self.busy = 0.0
        """Seconds for which frames occupied the device so far (see `FrameGenerator.busy_s`)."""
        self.failed = 0
        self.error = ""
        """Why the newest frame failed, one line; "" if it did not."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._abandoned:
            super().__exit__(kind, error, trace)

    def abandon(self) -> None:
        """Do not wait for this thread, whose engine hangs: if the call ever returns, the thread ends without a
        frame."""
        self._failed_over = self._abandoned = True
        self._stop.set()

    def swap(self, backend: Backend) -> bool:
        """Change to a faster backend between two frames; returns whether it will. False after a failover, because the
        backend belongs to the failed engine."""
        with self._changing:
            if not self._failed_over:
                self._next = backend
            return not self._failed_over

    def _run(self) -> None:
        self._attempt(self._generator.settle)
        guard = Guard(log, "drawing")
        while not self._stop.is_set():
            with guard:  # errors outside of `_fail`: this thread must not end
                self._turn()
                continue
            self._stop.wait(RETRY)

    def _turn(self) -> None:
        """Render a frame if one is due, else wait briefly."""
        # Before the first prompt is encoded there is nothing to render, and the text encoder needs the interpreter.
        patience = 0.0 if self._generator.on_card and self.drawn else _LATE
        late = not self._frame_params.wait(patience if self._extrapolator.newest else STOP_CHECK)
        if late and self._extrapolator.newest is None:
            return
        now = self._clock()
        if (wait := max(self._grid.wait(now), self._drawer.wait(now) if self._drawer is not None else 0.0)) > 0:
            self._stop.wait(min(wait, STOP_CHECK))
            return
        params = self._extrapolator.next(self._frame_params.take(), self._clock())
        if params is None:
            return
        self._grid.begin(self._clock())
        if self._next is not None:
            with self._changing:
                backend, self._next = self._next, None
            self._attempt(partial(self._generator.use, backend))
        try:
            self._draw(params)
        except Exception as error:  # the session continues with the last frame
            self._fail(error)

    def _attempt(self, prepare: Callable[[], None]) -> None:
        """Run a preparation of the engine, which may take as long as a first frame; a failure counts as of a frame."""
        self.calls.forget()
        try:
            with self.calls:
                prepare()
        except Exception as error:  # this thread must not end: it draws all frames
            self._fail(error)
        self.calls.forget()

    def _draw(self, params: FrameParams) -> None:
        snapshot = self._store.snapshot()
        built = self._ahead or self._build(params, snapshot)
        self._ahead = None
        if built is None:
            return

        def meanwhile() -> None:
            self._ahead = self._build(params, snapshot)

        # While the GPU renders, Python builds the next conditioning: saves 0.5 ms, from parameters one frame older.
        early = meanwhile if self._generator.on_card and not self._grid.fps else None
        image = None
        if self._source is not None:
            image = self._source.image(params, snapshot, self._generator.size, built)
        request = FrameRequest(params, built, snapshot, image)
        with self.calls:
            if self._drawer is not None:
                self._drawer.draw(self._generator, request, early)
            else:
                frame = self._generator.generate(request, meanwhile=early)
        if self._drawer is None and not self._abandoned:
            self._frames.put(frame)
        self.drawn += 1
        self.busy += self._generator.busy_s
        self.error = ""
        self._in_a_row = 0

    def _build(self, params: FrameParams, snapshot: Snapshot) -> Conditioning | None:
        """The conditioning of prompt and audio; None only before the first prompt is encoded."""
        began = time.perf_counter()
        # `latest`, not `take`: an embedding stays valid until there is a newer one.
        built = self._builder.build(params.time, snapshot, params, self._embeddings.latest())
        if built is not None:
            self._generator.times.add("mix", time.perf_counter() - began)
        return built

    def _fail(self, error: Exception) -> None:
        if self._abandoned:
            return
        self._ahead = None  # another builder may follow
        self.failed += 1
        line = f"the engine failed, holding the last frame: {type(error).__name__}: {first_line(error, 200)}"
        if line != self.error:
            self.error = line
            log.warning(line)
        self._in_a_row += 1
        try:
            with self._changing:
                result = self._fail_over(error, self._in_a_row)
                if result is not None:
                    self._generator, self._builder, self._in_a_row = result.generator, result.builder, 0
                    self._next, self._failed_over = None, True
            if result is not None:
                self.calls.forget()
                self._generator.settle()
                log.warning(result.line)
                return
            self._generator.reset_feedback()
        except Exception as another:  # the failover failed as well: hold the frame and retry
            log.error(f"the fallback failed as well: {first_line(another, 200)}")
        self._stop.wait(RETRY)
