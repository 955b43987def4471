"""Tone mapping of pictures with a high dynamic range (HDR10: PQ in BT.2020) to sRGB, which the engine takes.

Without it a PQ picture looks flat and grey, because its code values reach up to 10,000 cd/m². HLG, the other HDR kind,
is made to be shown without conversion.
"""

from __future__ import annotations

from functools import lru_cache

import av
import numpy as np

from tpos_live.core.srgb import linear_to_srgb

PQ = 16
"""FFmpeg's number of SMPTE ST 2084."""
WHITE, BRIGHTEST = 203.0, 1000.0
"""Luminance in cd/m² of diffuse white (ITU-R BT.2408), and of the brightest value, which maps to 1."""
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # fmt: skip
"""From BT.2020 to BT.709 in linear light (ITU-R BT.2087)."""
_STEPS = 4095
"""Steps of the table from linear light to sRGB."""


def is_high_range(frame: av.VideoFrame) -> bool:
    """Whether a frame has the transfer function PQ, so that it needs `to_srgb`."""
    return int(frame.color_trc or 0) == PQ


def to_srgb(pixels: np.ndarray) -> np.ndarray:
    """From uint8 [..., 3], PQ in BT.2020, to uint8 [..., 3] in sRGB."""
    light, shown = _tables()
    linear = np.clip(light[pixels] @ _TO_709.T, 0.0, 1.0)
    return shown[(linear * _STEPS + 0.5).astype(np.int32)]


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Two tables. Tone-mapped linear light, 0 to 1, of each PQ code value: float32 [256] (Reinhard, 2002, with a white
    point). sRGB values of linear light in _STEPS steps: uint8 [_STEPS + 1]."""
    code = np.linspace(0.0, 1.0, 256) ** (1 / 78.84375)
    candelas = 10_000 * (np.maximum(code - 0.8359375, 0) / (18.8515625 - 18.6875 * code)) ** (1 / 0.1593017578125)
    x, white = candelas / WHITE, BRIGHTEST / WHITE
    light = np.minimum(x * (1 + x / white**2) / (1 + x), 1.0).astype(np.float32)
    srgb = linear_to_srgb(np.linspace(0.0, 1.0, _STEPS + 1))
    return light, np.round(255 * srgb).astype(np.uint8)
