"""A slow, smooth deformation of in-betweens, as far as the modulation has moved along the noise trajectory.

Between two keyframes a latent goes straight, where frames of their own would take many turns: a third of their motion
is left. The deformation gives the rest, without the UNet, and with the modulation's own speed: what stands still sways,
and a kick pushes it on. It is a sum of a few waves, so it has no end. It acts on pixels: a place of a latent holds up
to 16x16 of them, and would show as a square.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

AMPLITUDE = 0.025
"""Of one wave, in heights of the image."""
WAVES = (
    # Waves per height to the right and down, phase per unit of the noise position and direction (radians).
    (0.6, 0.35, 2.1, 0.3),
    (-0.45, 0.7, -2.7, 1.9),
    (0.9, -0.5, 3.3, 3.4),
    (0.3, 1.1, -3.9, 5.0),
)


class Sway:
    """Belongs to one thread."""

    def __init__(self, amplitude: float = AMPLITUDE) -> None:
        """amplitude: of one wave, in heights of the image."""
        self._amplitude = amplitude
        self._shape: tuple[int, int] = (0, 0)
        self._grid = self._right = self._down = torch.empty(0)

    def apply(self, pixels: np.ndarray, position: float) -> None:
        """Deform `pixels`, uint8 [H, W, 3], in place, as at a position on the noise trajectory."""
        height, width = pixels.shape[:2]
        if self._shape != (height, width):
            self._prepare(height, width)
        grid = self._grid.clone()
        for right, down, rate, direction in WAVES:
            # sin(a + b + c), a along a row, b along a column: two products for each pixel in place of a sine.
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
