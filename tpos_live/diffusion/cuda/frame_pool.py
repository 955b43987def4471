"""A ring of buffers for the pixels of frames."""

from __future__ import annotations

import numpy as np
import torch

COUNT = 6
"""Buffers in the pool; `Frame` promises that the three newest are never overwritten."""


class FramePool:
    """Belongs to the render thread."""

    def __init__(self, size: tuple[int, int], pinned: bool) -> None:
        """size: (width, height) in pixels. pinned: use pinned memory, into which a card copies asynchronously."""
        sides = size[1], size[0], 3
        self._tensors = [torch.zeros(sides, dtype=torch.uint8, pin_memory=pinned) for _ in range(COUNT)]
        self._frames = [tensor.numpy() for tensor in self._tensors]

    def pixels(self, index: int) -> np.ndarray:
        """The buffer of frame `index`, uint8 [H, W, 3]."""
        return self._frames[index % COUNT]
