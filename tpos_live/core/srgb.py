"""The transfer function of sRGB (IEC 61966-2-1), for arrays."""

from __future__ import annotations

import numpy as np


def srgb_to_linear(coded: np.ndarray) -> np.ndarray:
    """Linear light, 0 to 1, of sRGB values, 0 to 1."""
    return np.where(coded <= 0.04045, coded / 12.92, ((np.maximum(coded, 0.0) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB values, 0 to 1, of linear light, 0 to 1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055)
