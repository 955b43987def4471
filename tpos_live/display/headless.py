"""The display without a window: the same frames, composed on the CPU, and only when an output needs them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

import numpy as np
import torch

from tpos_live.core.cores import usable_cores
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.torch_threads import use_threads
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.display.output import Output
from tpos_live.display.pacing import Pacer, ShownMeter

CORES_PER_THREAD = 4
"""Cores per composing thread. The engine has threads on all cores, too: two composing threads on two cores wait for
each other after each operation, and a recording gets 5 frames per second instead of 10."""


class HeadlessDisplay:
    """Used like `DisplayWindow`. Thread contract: one thread, which also enters and leaves; `close_soon` may be called
    from anywhere."""

    def __init__(
        self,
        frames: Mailbox[Frame],
        params: Callable[[], FrameParams],
        snapshot: Callable[[], Snapshot],
        *,
        on_refresh: Callable[[float], None] | None = None,
        size: tuple[int, int] = (1280, 720),
        fps_cap: float = 30.0,
    ) -> None:
        self.outputs: list[Output] = []
        self.closing = False
        self.size = size
        self.interpolator = FrameInterpolator(size)
        self.renderer = "CPU"
        self.software = True
        self._frames, self._frame_params, self._snapshot = frames, params, snapshot
        self._on_refresh = on_refresh
        self._compositor = CpuCompositor(size)
        self._pacer = Pacer(cap=fps_cap or 30.0)
        self._torch_threads = 0
        self.meter = ShownMeter()
        self.shown = self.interpolator.display_frame(0.0, params(), snapshot())
        """The last shown frame; any thread may read it."""

    def __enter__(self) -> Self:
        self._torch_threads = torch.get_num_threads()
        use_threads(min(max(len(usable_cores()) // CORES_PER_THREAD, 1), self._torch_threads))
        return self

    def __exit__(self, *exc: object) -> None:
        """Restore this thread's number of PyTorch threads."""
        torch.set_num_threads(self._torch_threads)

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Run until `close_soon` is called or `until()` is true."""
        while not self.closing and not until():
            self.step(time.perf_counter())
            pause = self._pacer.after_flip(time.perf_counter(), 0.0)
            if pause > 0:
                time.sleep(pause)

    def close_soon(self) -> None:
        """End `run` after this frame."""
        self.closing = True

    def next_screen(self) -> int:
        """There are no screens: 0."""
        return 0

    def step(self, now: float) -> None:
        """Take new inputs, and compose if an output wants a frame."""
        if self._on_refresh is not None:
            self._on_refresh(now)
        snapshot = self._snapshot()
        self.interpolator.take(self._frames.take())
        params = self._frame_params()
        self.shown = self.interpolator.display_frame(now, params, snapshot)
        wanting = [output for output in self.outputs if output.wants(now)]
        if wanting:
            image = self.read_back()
            for output in wanting:
                output.send(image, now)
        self.meter.note(now, self.interpolator.newest, params.heard_at)

    def read_back(self) -> np.ndarray:
        """The composed frame of the last `step`: uint8 [height, width, 3]."""
        display_frame = self.shown
        return self._compositor.compose(display_frame.postfx, display_frame.newest, display_frame.previous)
