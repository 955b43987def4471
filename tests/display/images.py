"""Test images and parameters for the tests of the display."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tpos_live.core.frame import Frame
from tpos_live.core.parameter_store import ParameterStore, Snapshot


def field(seed: int, size: tuple[int, int] = (96, 96), shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """A smooth coloured field, periodic, moved right and down by `shift` (fractions): uint8 [h, w, 3]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    x, y = (x + 0.5) / size[0] - shift[0], (y + 0.5) / size[1] - shift[1]
    out = np.zeros((size[1], size[0], 3))
    for channel in range(3):
        for _ in range(8):
            kx, ky = random.integers(-4, 5, 2)
            out[..., channel] += random.normal() * np.sin(2 * np.pi * (kx * x + ky * y) + random.uniform(0, 7))
    return np.clip(128 + 42 * out, 0, 255).astype(np.uint8)


def frame(pixels: np.ndarray, index: int = 0, at: float = 0.0, **more: float) -> Frame:
    """An engine frame that was drawn at `at` seconds."""
    return replace(Frame(pixels, index, at, at, at), **more)  # type: ignore[arg-type]


def flat(value: int, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """One grey everywhere."""
    return np.full((size[1], size[0], 3), value, np.uint8)


def snapshot(**values: object) -> Snapshot:
    """Parameters with some changed; out_fit stands for out.fit."""
    store = ParameterStore()
    store.update({name.replace("_", ".", 1): value for name, value in values.items()})
    return store.snapshot()
