"""Frames for an encoder: scaled to the size it was opened with, and transformed."""

from __future__ import annotations

import logging

import numpy as np

from tpos_live.core.messages import NOTICE
from tpos_live.display.output_transform import FrameTransform
from tpos_live.display.video import fit

log = logging.getLogger(__name__)


class FrameFitter:
    """Gives every frame the same size: a window may change its size, an encoder cannot. Belongs to one thread."""

    def __init__(self, name: str, size: tuple[int, int], transform: FrameTransform) -> None:
        """name: of the output, for messages. size: (width, height) before the transform."""
        self._name, self._size, self._transform = name, size, transform
        self._last_size = size
        self._source = self._drawn = np.zeros((0, 0, 3), np.uint8)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The frame, fitted and transformed. A repeated frame gives the same array, which is not converted again."""
        if pixels is not self._source:
            self._source, self._drawn = pixels, self._transform(self._fitted(pixels))
        return self._drawn

    def _fitted(self, pixels: np.ndarray) -> np.ndarray:
        size = pixels.shape[1], pixels.shape[0]
        if size == self._size:
            return pixels
        if size != self._last_size:
            self._last_size = size
            new, old = (f"{width}x{height}" for width, height in (size, self._size))
            log.log(NOTICE, f"{self._name}: the window is {new} now, this stays {old}")
        return fit(pixels, self._size)
