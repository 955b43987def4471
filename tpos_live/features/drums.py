"""Kick, snare and hats, told apart by where in the spectrum a stroke rises.

A kick rises below 120 Hz and, by its attack, up to 400; a bass note has no such attack and a snare little below. A
snare rises from its body at 150 Hz to the noise at 6 kHz; a kick's click has little noise, a hat no body. Hats rise
above 6 kHz and less below. What one drum leaves in the range of another is taken off in proportion, and a drum needs
all of its ranges: a geometric mean. The shares were measured on two synthetic kits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tpos_live.features.mel import MELS, mel_slice

COMPRESSION = 20.0
"""Magnitude is log10(1 + COMPRESSION * amplitude): drums are told from notes by their strength, so little of it."""
_EDGES = ((20, 120), (150, 400), (1200, 2500), (2500, 6000), (6000, 16_000))
_RANGES = tuple(mel_slice(low, high) for low, high in _EDGES)
BODY_IN_KICK = 0.5
"""Part of a snare's body that is found below 120 Hz."""
HATS_IN_NOISE = (0.08, 0.25)
"""Part of the hats' strength that is found at 1.2 to 2.5 and 2.5 to 6 kHz."""
NOISE_IN_HATS = 1.4
"""A snare's noise goes on above 6 kHz about as strongly."""


@dataclass(frozen=True, slots=True)
class DrumFlux:
    """How much each drum rises in this hop, 0 or more."""

    kick: float = 0.0
    snare: float = 0.0
    hats: float = 0.0


class DrumDetector:
    """Rise over two hops, by drum. One step a hop."""

    def __init__(self) -> None:
        self._past = np.zeros((2, MELS), np.float32)
        self._hop = 0

    def step(self, mel: np.ndarray, gain: float) -> DrumFlux:
        """Hear mel power [MELS] with `gain` dB in front of it."""
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
