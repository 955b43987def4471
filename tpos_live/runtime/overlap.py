"""Composition and video encoding beside rendering: a bounded pipeline that keeps the order of the frames."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Self

import numpy as np

from tpos_live.core.cores import usable_cores
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.torch_threads import use_threads
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.video import VideoWriter

DEPTH = 6
"""Frames that may be rendered and not yet written: absorbs bursts of the encoder."""
MOST_COMPOSERS = 4


class OverlappedVideoWriter:
    """Composes rendered frames and writes them with their audio, while the caller renders the next ones.

    A context manager. Leaving waits for every frame that was put, also after an exception of the caller, so rendered
    frames are in the file. After an error in one of its stages nothing more is written: `put` or leaving raises it.

    Thread contract: one thread enters, puts and leaves. Between entering and leaving, `writer` belongs to the encoding
    thread; frames are composed on `composers` threads, each with its own CpuCompositor and one torch thread (more would
    take cores from rendering). The result does not depend on the number of threads.
    """

    def __init__(
        self,
        writer: VideoWriter,
        size: tuple[int, int],
        snapshot: Snapshot,
        on_written: Callable[[], None] = lambda: None,
        composers: int = 0,
    ) -> None:
        """size: (width, height) of the output. on_written: called for each frame in order, on the caller's thread.
        composers: 0 = one per core, MOST_COMPOSERS at most."""
        self._writer, self._snapshot, self._on_written = writer, snapshot, on_written
        self._interpolator = FrameInterpolator(size)
        self._local = threading.local()
        self._size = size
        self._count = composers or min(len(usable_cores()), MOST_COMPOSERS)
        self._composing = ThreadPoolExecutor(self._count, "composer", initializer=self._begin)
        self._encoding = ThreadPoolExecutor(1, "encoder")
        self._pending: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def put(self, params: FrameParams, frame: Frame | None, sound: np.ndarray) -> None:
        """The next frame, and its audio (float32 [n, 2]). Waits while DEPTH frames are pending.

        Raises what composing or writing an earlier frame raised.
        """
        while len(self._pending) >= DEPTH:
            self._finish_first()
        if frame is not None:  # the generator reuses its pixels
            frame = replace(frame, pixels=frame.pixels.copy())
        self._interpolator.take(frame)
        display_frame = self._interpolator.display_frame(params.time, params, self._snapshot)
        composed = self._composing.submit(self._compose, display_frame.postfx, frame)
        self._pending.append(self._encoding.submit(self._write, composed, sound))

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        try:
            while self._pending:
                if kind is None:
                    self._finish_first()
                else:
                    self._pending.popleft().exception()
        finally:
            self._composing.shutdown(cancel_futures=True)
            self._encoding.shutdown(cancel_futures=True)

    def _finish_first(self) -> None:
        self._pending.popleft().result()
        self._on_written()

    def _begin(self) -> None:
        use_threads(1)
        self._local.compositor = CpuCompositor(self._size)

    def _compose(self, postfx: PostFxParams, frame: Frame | None) -> np.ndarray:
        compositor: CpuCompositor = self._local.compositor
        return compositor.compose(postfx, frame)

    def _write(self, composed: Future[np.ndarray], sound: np.ndarray) -> None:
        """Write a composed frame and its audio. On the encoding thread, in the order of the frames."""
        if self._failed:  # a frame is missing: the file ends before it
            return
        try:
            self._writer.write_frame(composed.result())
            self._writer.write_sound(sound)
        except BaseException:
            self._failed = True
            raise
