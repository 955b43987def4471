"""Moves decoded in-betweens: crossfades, for a decoder slower than the frame rate, and a deformation.

Consecutive in-betweens are close to each other on the path between two keyframes, so their pixels can be mixed without
a double exposure.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.core.envelope import part_done
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.cuda.frame_pool import FramePool

LONGER = 1.1
"""Duration of a fade, relative to the mean interval between decoded frames, so that it lasts until the next one."""
SHORT = 0.05
"""Interval in seconds up to which decoded frames are shown without a fade: the display interpolates."""
AMPLITUDE = 0.025
"""Amplitude of one wave, in heights of the image."""
WAVES = (
    # Waves per height to the right and down, phase per unit of the noise position and direction (radians).
    (0.6, 0.35, 2.1, 0.3),
    (-0.45, 0.7, -2.7, 1.9),
    (0.9, -0.5, 3.3, 3.4),
    (0.3, 1.1, -3.9, 5.0),
)


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


class Sway:
    """A slow, smooth deformation of in-betweens, as a function of the position on the noise trajectory.

    Between two keyframes a latent moves on a straight path, where frames of the UNet would take many turns: one third
    of their motion is left. The deformation adds motion without the UNet, at the modulation's speed, so a kick
    accelerates it. It is a sum of four waves, so it never ends. It acts on pixels: one position of a latent covers up
    to 16x16 pixels, and would show as a square. Belongs to one thread.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, int] = (0, 0)
        self._grid = self._right = self._down = torch.empty(0)

    def apply(self, pixels: np.ndarray, position: float) -> None:
        """Deform `pixels`, uint8 [H, W, 3], in place. position: on the noise trajectory."""
        height, width = pixels.shape[:2]
        if self._shape != (height, width):
            self._prepare(height, width)
        grid = self._grid.clone()
        for right, down, rate, direction in WAVES:
            # sin(a + b), with a along a row and b along a column, costs two products per pixel instead of a sine.
            across = 2 * math.pi * right * self._right + math.fmod(rate * position, 2 * math.pi)
            along = 2 * math.pi * down * self._down
            wave = torch.outer(along.cos(), across.sin()).addr_(along.sin(), across.cos())
            # A grid goes from -1 to 1 over a side.
            grid[0, ..., 0].add_(wave, alpha=2 * AMPLITUDE * math.cos(direction) * height / width)
            grid[0, ..., 1].add_(wave, alpha=2 * AMPLITUDE * math.sin(direction))
        image = torch.from_numpy(pixels)
        planes = image.permute(2, 0, 1)[None].float()
        moved = F.grid_sample(planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        image.copy_(moved[0].permute(1, 2, 0).round_())

    def _prepare(self, height: int, width: int) -> None:
        self._shape = height, width
        self._grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False)
        self._right = (torch.arange(width) + 0.5 - width / 2) / height
        self._down = (torch.arange(height) + 0.5) / height - 0.5
