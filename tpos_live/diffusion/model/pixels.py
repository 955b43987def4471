"""From what the decoder gives to the bytes of a frame."""

from __future__ import annotations

import numpy as np
import torch


def to_pixels(image: torch.Tensor) -> torch.Tensor:
    """A decoded image [1, 3, H, W] in [-1, 1] as float32 [H, W, 3], whole numbers 0 to 255."""
    return image[0].float().mul(127.5).add_(127.5).clamp_(0, 255).round_().permute(1, 2, 0)


def write_pixels(image: torch.Tensor, out: np.ndarray) -> None:
    """Write a decoded image, [1, 3, H, W] in [-1, 1], to `out`, uint8 [H, W, 3]."""
    torch.from_numpy(out).copy_(to_pixels(image))
