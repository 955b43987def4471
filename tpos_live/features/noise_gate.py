"""The noise gate: separates sound from the noise of the room.

It opens 12 dB above the noise floor, closes 6 dB above it (hysteresis), and holds for 0.4 s. The floor falls at once to
any lower level. It rises only while the gate is closed, or while level and spectrum are as steady as hum or hiss (the
level within 3 dB for 3 s). So an hour of loud music does not become the floor.

A distorted guitar can be as steady in level as a fan, but its notes change: one of 16 groups of mel bands moves by 4 to
24 dB within seconds. With levels averaged over 0.3 s, white, pink and brown noise, hum, and the beating of two fans
move by 1 to 3 dB, because they are stationary.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from tpos_live.core.envelope import share
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.spectrum import FLOOR, GROUPS, MELS

OPEN_DB = 12.0
CLOSE_DB = 6.0
HOLD_SECONDS = 0.4
FLOOR_DB = (-72.0, -34.0)
"""Range of the floor in dBFS: a level below -60 dBFS never opens the gate, a level above -22 dBFS always does."""
START_DB = -50.0
"""Upper limit of the first floor estimate: music may already be playing."""
RISE_DB_CLOSED = 3.0
RISE_DB_STEADY = 9.0
"""Rise of the floor in dB per second while the gate is closed, and while the sound is steady."""
STEADY_DB = 3.0
_LEVEL_SAMPLES = 30
"""Level samples, ten per second, that must lie within STEADY_DB."""
FOLLOW_SECONDS = 0.3
CHANGE_DB = 3.5
"""Range of a group's level from which the spectrum counts as changing."""
LOUD_DB = 25.0
"""Groups further below the loudest one are ignored."""
SPECTRUM_SAMPLES = 50
"""Spectrum samples, ten per second, that are compared."""
_HOPS_PER_SAMPLE = 10


@dataclass
class NoiseGate:
    """One step per hop. open: the current state. floor: the noise floor in dBFS."""

    open: bool = False
    floor: float | None = None
    _slow: float = -120.0
    _held: float = 0.0
    _hop: int = 0
    _samples: deque[float] = field(default_factory=lambda: deque(maxlen=_LEVEL_SAMPLES))

    def step(self, db: float, steady: bool = True) -> bool:
        """Take the level of one hop in dBFS; returns `open`. steady: from `SpectrumChange`."""
        self._slow += (db - self._slow) * share(0.1, HOP_SECONDS)
        if self.floor is None:
            self.floor = min(db, START_DB)
            self._slow = db
        self._learn(steady)
        if db >= self.floor + OPEN_DB:
            self.open, self._held = True, HOLD_SECONDS
        elif self.open:
            self._held = HOLD_SECONDS if db >= self.floor + CLOSE_DB else self._held - HOP_SECONDS
            self.open = self._held > 0.0
        return self.open

    def _learn(self, steady: bool) -> None:
        assert self.floor is not None
        self._hop += 1
        if self._hop % _HOPS_PER_SAMPLE == 0:
            self._samples.append(self._slow)
        steady = steady and len(self._samples) == _LEVEL_SAMPLES and max(self._samples) - min(self._samples) < STEADY_DB
        if self._slow < self.floor:
            self.floor = self._slow
        elif steady or not self.open:
            rate = RISE_DB_STEADY if steady else RISE_DB_CLOSED
            self.floor = min(self.floor + rate * HOP_SECONDS, self._slow)
        self.floor = min(max(self.floor, FLOOR_DB[0]), FLOOR_DB[1])


@dataclass
class SpectrumChange:
    """Detects whether the spectrum changes, as in music, or is stationary, as hum and hiss are. One step per hop.

    steady: no group has moved by CHANGE_DB within SPECTRUM_SAMPLES.
    """

    steady: bool = False
    _power: np.ndarray | None = None
    _hop: int = 0
    _samples: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=SPECTRUM_SAMPLES))

    def step(self, mel: np.ndarray) -> bool:
        """Take the mel power [MELS] of one hop, before all gain; returns `steady`."""
        power = mel.reshape(GROUPS, MELS // GROUPS).sum(axis=1)
        if self._power is None:
            self._power = power.astype(np.float64)
        self._power += (power - self._power) * share(FOLLOW_SECONDS, HOP_SECONDS)
        self._hop += 1
        if self._hop % _HOPS_PER_SAMPLE == 0:
            self._samples.append(10.0 * np.log10(self._power + FLOOR))
            levels = np.array(self._samples)
            mean = levels.mean(axis=0)
            ranges = np.ptp(levels[:, mean > mean.max() - LOUD_DB], axis=0)
            self.steady = len(self._samples) == SPECTRUM_SAMPLES and float(ranges.max()) < CHANGE_DB
        return self.steady
