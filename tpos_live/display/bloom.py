"""The bloom map: the light that bright areas spread, computed once per engine frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from tpos_live.display.postfx import EMITTER

SIDE = 96
"""Width and height of the map; it covers the whole frame."""
RADII = ((0.01, 0.55), (0.04, 0.32), (0.12, 0.13))
"""Radius in fractions of the width, and share of the light."""
_LARGEST = 320


def make_bloom_map(pixels: np.ndarray) -> torch.Tensor:
    """Bloom of a frame: uint8 [H, W, 3] to float32 [3, SIDE, SIDE], light between 0 and 1.

    Emitters are found at full size, so that a small bright point counts; then three blurs. Large frames are subsampled
    first.
    """
    thin = max(1, round(max(pixels.shape[:2]) / _LARGEST))
    # Contiguous: the brightest of three planes is found in a seventh of the time.
    light = torch.from_numpy(pixels[::thin, ::thin]).permute(2, 0, 1).contiguous().float().mul_(1 / 255).square_()
    brightest = light.amax(0)
    light.mul_(brightest.sub_(EMITTER).div_(1 - EMITTER).clamp_(0, 1))
    height, width = light.shape[1:]
    # Both filters act on the last axis, with a transposition between: [3, h, w] -> [3, SIDE, h] -> [3, SIDE, SIDE].
    small = _along(_along(light, _shrink(width)), _shrink(height)).reshape(-1, SIDE)
    across, down = _blurs(width, height)
    rows = torch.mm(small, across.T).view(3, SIDE, len(RADII), SIDE).transpose(1, 2)
    return torch.matmul(down, rows.reshape(3, -1, SIDE))


def _along(image: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Apply [n, m] along the last axis and transpose: float [3, k, m] to [3, n, k]."""
    return torch.mm(image.reshape(-1, image.shape[2]), matrix.T).view(3, -1, matrix.shape[0]).transpose(1, 2)


@lru_cache(maxsize=32)
def _shrink(n: int) -> torch.Tensor:
    """Float32 [SIDE, n]: averages n samples into SIDE boxes, weighted by overlap."""
    edges = np.linspace(0, n, SIDE + 1)
    at = np.arange(n)
    shared = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    shared = np.clip(shared, 0, None)
    return torch.from_numpy(shared / shared.sum(1, keepdims=True)).float()


@lru_cache(maxsize=32)
def _blurs(width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All blurs of a frame at once: float32 [len(RADII) * SIDE, SIDE] across, and [SIDE, len(RADII) * SIDE] down, with
    the shares."""
    across = [_blur(round(radius * SIDE, 3)) for radius, _ in RADII]
    # A radius is a fraction of the width, so it spans more rows of the map in a wide frame.
    down = [share * _blur(round(radius * SIDE * width / height, 3)) for radius, share in RADII]
    return torch.cat(across), torch.cat(down, 1)


@lru_cache(maxsize=32)
def _blur(sigma: float) -> torch.Tensor:
    """Float32 [SIDE, SIDE]: Gaussian blur, mirrored at the edges."""
    reach = int(4 * sigma) + 1
    matrix = np.zeros((SIDE, SIDE))
    for offset in range(-reach, reach + 1):
        source = (np.arange(SIDE) + offset) % (2 * SIDE)
        source = np.where(source < SIDE, source, 2 * SIDE - 1 - source)
        np.add.at(matrix, (np.arange(SIDE), source), np.exp(-0.5 * (offset / max(sigma, 1e-3)) ** 2))
    return torch.from_numpy(matrix / matrix.sum(1, keepdims=True)).float()
