"""Does the spectrum change as music does, or stand as hum and hiss do?

A distorted guitar can be as steady in level as a fan, but its notes change: one of 16 groups of mel bands moves by 4 to
24 dB within seconds. White, pink and brown noise, hum and two fans that beat move by 1 to 3 dB, for they are stationary
and their groups are followed for 0.3 s.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from tpos_live.core.envelope import share
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.mel import FLOOR, MELS

GROUPS = 16
FOLLOW_SECONDS = 0.3
CHANGE_DB = 3.5
"""Range of a group's level from which the spectrum changes."""
LOUD_DB = 25.0
"""Groups that are further below the loudest one do not count."""
LOOKS = 50
"""Looks, ten per second, that are compared."""
_HOPS_PER_LOOK = 10


@dataclass
class SpectrumChange:
    """`steady`: nothing has changed for LOOKS. One step per hop."""

    steady: bool = False
    _power: np.ndarray | None = None
    _hop: int = 0
    _looks: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=LOOKS))

    def step(self, mel: np.ndarray) -> bool:
        """Take the mel power [MELS] of one hop, before all gain; returns `steady`."""
        power = mel.reshape(GROUPS, MELS // GROUPS).sum(axis=1)
        if self._power is None:
            self._power = power.astype(np.float64)
        self._power += (power - self._power) * share(FOLLOW_SECONDS, HOP_SECONDS)
        self._hop += 1
        if self._hop % _HOPS_PER_LOOK == 0:
            self._looks.append(10.0 * np.log10(self._power + FLOOR))
            self.steady = len(self._looks) == LOOKS and self._range() < CHANGE_DB
        return self.steady

    def _range(self) -> float:
        levels = np.array(self._looks)
        mean = levels.mean(axis=0)
        return float(np.ptp(levels[:, mean > mean.max() - LOUD_DB], axis=0).max())
