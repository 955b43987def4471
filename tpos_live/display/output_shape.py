"""Gamma, black level, soft edges and corner pin of an output: the formula of `glsl.py::PRESENT` on the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tpos_live.core.output_view import OutputView
from tpos_live.display.window_view import PLAIN, place

Part = tuple[slice, slice]
"""Rows and columns of a part."""


class OutputShape:
    """Shapes frames of one size. Immutable; any thread may call it."""

    def __init__(self, view: OutputView, whole: tuple[int, int]) -> None:
        """whole: (width, height) of the frames of which the output shows a part."""
        size, soft = view.size(whole), view.soft(whole)
        values = (np.arange(256) / 255) ** (1 / view.gamma)
        self._softened = None if view.gamma == 1.0 else _bytes(values)
        self._levels = self._softened if view.black == 0.0 else _bytes(view.black + (1 - view.black) * values)
        across = _gain(size[0], soft[0], soft[2])
        down = _gain(size[1], soft[1], soft[3])
        self._strips = [(part, np.outer(down[part[0]], across[part[1]])[..., None]) for part in _soft(down, across)]
        self._grid = _grid(view, size) if view.corners != PLAIN.corners else None

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The shaped frame: `pixels` itself, or a new array. pixels: uint8 [height, width, 3], mirrored and rotated."""
        out = pixels if self._levels is None else _mapped(pixels, self._levels)
        if self._strips:
            out = pixels.copy() if out is pixels else out
            for part, gain in self._strips:  # the black of images that overlap adds up: no black level
                soft = pixels[part] if self._softened is None else _mapped(pixels[part], self._softened)
                out[part] = np.rint(soft * gain)
        return out if self._grid is None else _pinned(out, self._grid)


def _bytes(values: np.ndarray) -> bytes:
    """A lookup table for `_mapped`. values: [256], 0 to 1."""
    return np.rint(255 * values).astype(np.uint8).tobytes()


def _mapped(pixels: np.ndarray, table: bytes) -> np.ndarray:
    """A new array of the table's values; five times as fast as np.take, which widens its indices."""
    return np.frombuffer(bytearray(np.ascontiguousarray(pixels)).translate(table), np.uint8).reshape(pixels.shape)


def _gain(pixels: int, first: int, last: int) -> np.ndarray:
    """float32 [pixels]: factor of the coded values along an axis, with so many soft pixels at its ends. The factors of
    two images that overlap add up to 1 in linear light."""
    at = np.arange(pixels) + 0.5
    near = np.clip(np.stack([at / max(first, 1e-6), (pixels - at) / max(last, 1e-6)]), 0, 1)
    return np.asarray((near * near * (3 - 2 * near)).prod(0) ** (1 / 2.2), np.float32)


def _soft(down: np.ndarray, across: np.ndarray) -> list[Part]:
    """The parts of the frame where the factor is below 1, without overlap."""
    (top, bottom), (left, right) = _whole(down), _whole(across)
    middle, every = slice(top, bottom), slice(None)
    parts = [(slice(0, top), every), (slice(bottom, None), every)]
    parts += [(middle, slice(0, left)), (middle, slice(right, None))]
    return [part for part in parts if down[part[0]].size and across[part[1]].size]


def _whole(gain: np.ndarray) -> tuple[int, int]:
    """Begin and end of the range where the factor is 1."""
    full = np.flatnonzero(gain >= 1)
    return (int(full[0]), int(full[-1]) + 1) if len(full) else (0, 0)


def _grid(view: OutputView, size: tuple[int, int]) -> np.ndarray:
    """float32 [1, height, width, 2]: the source position of each pixel, as grid_sample expects it (-1 to 1)."""
    width, height = size
    view = replace(view, crop=PLAIN.crop)  # `size` is that of the cropped part
    matrix = place(view, size, view.turned(size))
    x, y = (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[:, None]
    u, v, z = (row[0] * x + row[1] * y + row[2] for row in matrix)
    seen = z > 0
    z = np.where(seen, z, 1.0)
    return np.stack([np.where(seen, 2 * axis / z - 1, -3) for axis in (u, v)], -1).astype(np.float32)[None]


def _pinned(pixels: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The frame sampled at the positions of `grid`, black outside. Uses one thread: grid_sample splits batches only,
    and conversions by PyTorch, in place of NumPy, would take the engine's cores."""
    import torch
    import torch.nn.functional as F

    height, width = pixels.shape[:2]
    coded = torch.from_numpy(pixels.astype(np.float32, order="C")).permute(2, 0, 1)[None]
    placed = F.grid_sample(coded, torch.from_numpy(grid), align_corners=False)[0].numpy()
    np.rint(placed, out=placed)
    out = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        out[..., channel] = placed[channel]
    return out
