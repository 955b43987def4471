"""A slow, smooth deformation of in-betweens, as a function of the modulation's position on the noise trajectory.

Between two keyframes a latent moves on a straight path, where frames of the UNet would take many turns: one third of
their motion is left. The deformation adds motion without the UNet, at the modulation's speed, so a kick accelerates it.
It is a sum of four waves, so it never ends. It acts on pixels: one position of a latent covers up to 16x16 pixels, and
would show as a square.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

AMPLITUDE = 0.025
"""Amplitude of one wave, in heights of the image."""
WAVES = (
    # Waves per height to the right and down, phase per unit of the noise position and direction (radians).
    (0.6, 0.35, 2.1, 0.3),
    (-0.45, 0.7, -2.7, 1.9),
    (0.9, -0.5, 3.3, 3.4),
    (0.3, 1.1, -3.9, 5.0),
)


class Sway:
    """Applies the deformation to images. Belongs to one thread."""

    def __init__(self, amplitude: float = AMPLITUDE) -> None:
        """amplitude: of one wave, in heights of the image."""
        self._amplitude = amplitude
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
            grid[0, ..., 0].add_(wave, alpha=2 * self._amplitude * math.cos(direction) * height / width)
            grid[0, ..., 1].add_(wave, alpha=2 * self._amplitude * math.sin(direction))
        image = torch.from_numpy(pixels)
        planes = image.permute(2, 0, 1)[None].float()
        moved = F.grid_sample(planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        image.copy_(moved[0].permute(1, 2, 0).round_())

    def _prepare(self, height: int, width: int) -> None:
        self._shape = height, width
        self._grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False)
        self._right = (torch.arange(width) + 0.5 - width / 2) / height
        self._down = (torch.arange(height) + 0.5) / height - 0.5
