"""Kick, snare and hi-hats, separated by the spectral range of an onset.

A kick rises below 120 Hz and, through its attack, up to 400 Hz; a bass note has no such attack and a snare has little
below. A snare rises from its body at 150 Hz to its noise at 6 kHz; a kick's click has little noise and a hi-hat no
body. Hi-hats rise above 6 kHz and less below. The leakage of one drum into another range is subtracted in proportion. A
drum needs all of its ranges (geometric mean). The proportions were measured on two synthetic drum kits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tpos_live.features.mel import MELS, mel_slice

COMPRESSION = 20.0
"""Magnitude is log10(1 + COMPRESSION * amplitude). Compression is weak, because strength separates drums from notes."""
_EDGES = ((20, 120), (150, 400), (1200, 2500), (2500, 6000), (6000, 16_000))
_RANGES = tuple(mel_slice(low, high) for low, high in _EDGES)
BODY_IN_KICK = 0.5
"""Share of a snare's body below 120 Hz."""
HATS_IN_NOISE = (0.08, 0.25)
"""Share of the hi-hat strength at 1.2 to 2.5 kHz and at 2.5 to 6 kHz."""
NOISE_IN_HATS = 1.4
"""A snare's noise above 6 kHz, relative to 2.5 to 6 kHz."""


@dataclass(frozen=True, slots=True)
class DrumFlux:
    """Rise of each drum in this hop, 0 or more."""

    kick: float = 0.0
    snare: float = 0.0
    hats: float = 0.0


class DrumDetector:
    """Rise over two hops, per drum. One step per hop."""

    def __init__(self) -> None:
        self._past = np.zeros((2, MELS), np.float32)
        self._hop = 0

    def step(self, mel: np.ndarray, gain: float) -> DrumFlux:
        """Take mel power [MELS]; `gain` in dB is applied first."""
        now = np.log10(1.0 + COMPRESSION * 10.0 ** (gain / 20.0) * np.sqrt(mel))
        past = self._past[self._hop % 2]
        self._hop += 1
        rise = np.maximum(now - past, 0.0)
        past[:] = now
        low, body, middle, noise, air = (float(rise[where].sum()) / (where.stop - where.start) for where in _RANGES)
        deep = max(low - BODY_IN_KICK * body, 0.0)
        middle = max(middle - HATS_IN_NOISE[0] * air, 0.0)
        rattle = max(noise - HATS_IN_NOISE[1] * air, 0.0)
        return DrumFlux(
            kick=(deep * body) ** 0.5,
            snare=(body * middle * rattle) ** (1.0 / 3.0),
            hats=max(air - NOISE_IN_HATS * noise, 0.0),
        )
