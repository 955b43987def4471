"""Enlarges an image by an integer factor, on the CPU."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F

from tpos_live.display.tone_mapping import cubic_weights

BLOCK = 8
"""Pixels of an axis that one matrix product enlarges: a larger block multiplies more zeros, a smaller one needs more
calls."""


def enlarge(image: torch.Tensor, factor: int) -> torch.Tensor:
    """Cubic convolution by an integer factor: float [3, h, w] to [3, factor*h, factor*w].

    Edges repeat; results are clipped to 0..1. Both axes in blocks, each one product with the same small matrix.
    """
    if factor == 1:
        return image.contiguous()
    channels, height, width = image.shape
    matrix = _cubic_matrix(factor)
    wide = image.new_empty(channels * height, factor * width)
    padded = F.pad(image, (2, 2, 0, 0), mode="replicate").view(channels * height, -1)
    for first, n in _blocks(width):
        part = wide[:, factor * first : factor * (first + n)]
        torch.mm(padded[:, first : first + n + 4], matrix[: factor * n, : n + 4].T, out=part)
    padded = F.pad(wide.clamp_(0, 1).view(channels, height, -1), (0, 0, 2, 2), mode="replicate")
    larger = image.new_empty(channels, factor * height, factor * width)
    for before, after in zip(padded, larger, strict=True):
        for first, n in _blocks(height):
            part = after[factor * first : factor * (first + n)]
            torch.mm(matrix[: factor * n, : n + 4], before[first : first + n + 4], out=part).clamp_(0, 1)
    return larger


def _blocks(places: int) -> list[tuple[int, int]]:
    """First pixel and number of pixels of each block of an axis."""
    return [(first, min(BLOCK, places - first)) for first in range(0, places, BLOCK)]


@cache
def _cubic_matrix(factor: int) -> torch.Tensor:
    """Enlargement of one block: float [factor * BLOCK, BLOCK + 4] from a block with two more pixels on each side. Its
    upper left part enlarges a shorter block."""
    with torch.inference_mode(False):
        matrix = torch.zeros(BLOCK, factor, BLOCK + 4)
        for phase, (first, weights) in enumerate(cubic_weights(factor)):
            for place in range(BLOCK):
                start = place + 2 + first
                matrix[place, phase, start : start + 4] = torch.tensor(weights)
        return matrix.flatten(0, 1)
