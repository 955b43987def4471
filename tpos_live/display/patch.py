"""A drawn area over composed frames: a logo, or a test card."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Patch:
    """pixels: uint8 [height, width, 4], colour and opacity (not premultiplied), not modified afterwards. left, top: its
    position in the frame, which contains all of it."""

    pixels: np.ndarray
    left: int = 0
    top: int = 0

    def over(self, frame: np.ndarray) -> np.ndarray:
        """A copy of `frame`, uint8 [height, width, 3], with the patch blended over it."""
        height, width = self.pixels.shape[:2]
        out = frame.copy()
        area = out[self.top : self.top + height, self.left : self.left + width]
        # Division by 255, exact for 16 bits: (x + 128) * 257 >> 16.
        area[:] = ((area * self._transparency + self._colour + 128) * 257) >> 16
        return out

    @cached_property
    def _transparency(self) -> np.ndarray:
        return 255 - self.pixels[..., 3:].astype(np.uint32)

    @cached_property
    def _colour(self) -> np.ndarray:
        return self.pixels[..., :3].astype(np.uint32) * self.pixels[..., 3:]
