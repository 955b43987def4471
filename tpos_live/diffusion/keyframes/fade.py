"""Crossfades between decoded frames, for a decoder that is slower than the frame rate.

Consecutive in-betweens are close to each other on the path between two keyframes, so their pixels can be mixed without
a double exposure.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tpos_live.core.envelope import part_done
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.cuda.frame_pool import FramePool
from tpos_live.diffusion.keyframes.sway import Sway

LONGER = 1.1
"""Duration of a fade, relative to the mean interval between decoded frames, so that it lasts until the next one."""
SHORT = 0.05
"""Interval in seconds up to which decoded frames are shown without a fade: the display interpolates."""


class Fade:
    """Fades to the newest decoded frame, and applies `Sway`. Belongs to one thread; the clock is passed in.

    A frame's pixels stay valid for at least three more frames.
    """

    def __init__(self) -> None:
        self._sway = Sway()
        self._pool: FramePool | None = None
        self._index = 0
        self._end: Frame | None = None
        self._start = self._shown = self._newest = torch.empty(0)
        self._came_at = self._interval = 0.0
        self._scene = -1

    @property
    def running(self) -> bool:
        """Whether a frame has been decoded."""
        return self._end is not None

    def take(self, frame: Frame, scene: int, now: float) -> None:
        """Take a decoded frame; its pixels are copied. Another scene or size starts without a fade."""
        pixels = torch.from_numpy(frame.pixels).float()
        other = self._end is None or scene != self._scene or pixels.shape != self._shown.shape
        if other:
            self._pool, self._interval = FramePool((pixels.shape[1], pixels.shape[0]), pinned=False), 0.0
        else:
            step = now - self._came_at
            self._interval += (step - self._interval) * (0.3 if self._interval else 1.0)
        self._start = pixels if other or self._interval <= SHORT else self._shown
        self._shown, self._newest = pixels if other else self._shown, pixels
        self._end, self._scene, self._came_at = frame, scene, now

    def at(self, params: FrameParams, now: float) -> Frame:
        """The frame to show for `params`, `now` seconds. Only while `running`."""
        assert self._end is not None and self._pool is not None
        part = part_done(self._came_at, LONGER * self._interval, now) if self._interval > SHORT else 1.0
        self._shown = torch.lerp(self._start, self._newest, part)
        pixels = self._pool.pixels(self._index)
        np.copyto(pixels, self._shown.round().to(torch.uint8).numpy())
        self._sway.apply(pixels, params.noise_position)
        self._index += 1
        return replace(
            self._end, pixels=pixels, index=self._index - 1, time=params.time, heard_at=params.heard_at, drawn_at=now
        )
