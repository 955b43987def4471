"""The transfer function of sRGB (IEC 61966-2-1), and luminance, for arrays."""

from __future__ import annotations

import numpy as np

_WEIGHTS = np.array((0.299, 0.587, 0.114), np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""


def srgb_to_linear(coded: np.ndarray) -> np.ndarray:
    """Linear light, 0 to 1, of sRGB values, 0 to 1."""
    return np.where(coded <= 0.04045, coded / 12.92, ((np.maximum(coded, 0.0) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB values, 0 to 1, of linear light, 0 to 1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055)


def luminance(pixels: np.ndarray) -> np.ndarray:
    """uint8 [height, width] from sRGB pixels, uint8 [height, width, 3]."""
    return (pixels @ _WEIGHTS + 0.5).astype(np.uint8)


def luminance_key(pixels: np.ndarray, dark: float, bright: float) -> np.ndarray:
    """Alpha, uint8 [height, width], from sRGB pixels, uint8 [height, width, 3]: 0 up to the luminance `dark`, 255 from
    `bright` on, linear between; both 0 to 1."""
    luma = pixels @ _WEIGHTS / 255.0
    return (255.0 * np.clip((luma - dark) / (bright - dark), 0.0, 1.0)).astype(np.uint8)
