"""Band levels: 30 dB below the running programme level are mapped to 0..1.

Each of the four bands has three speeds, as in Synesthesia: level (fast), hits (`onset.py`) and presence (slow). The
reference level of a band is its typical level in music. It adapts to this music by at most 6 dB, so that noise alone
does not fill the high band.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tpos_live.core.envelope import follow
from tpos_live.features.agc import AutomaticGain
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.spectrum import LOWEST_BIN, decibels, frequency_bin

EDGES = (20.0, 250.0, 2000.0, 6000.0, 16_000.0)
"""Hz: bass, mid, midhigh, high."""
RANGE_DB = 30.0
TARGET_DB = -22.0
"""Programme level after automatic gain, dBFS RMS. A loud master (-10) and a microphone across the room (-34) are both
within the 12 dB limit."""
HEADROOM_DB = (9.0, 8.0, 10.0, 11.0, 6.0)
"""dB above the programme level that give a level of 1, for the four bands and the whole signal: steady music gives 0.8,
and its peaks give 1. Hits in a single band exceed its mean by more."""
TILT_DB = (-2.0, -6.0, -16.0, -20.0)
"""The bands' typical programme level relative to the whole signal, in dB."""
BAND_LIMIT_DB = 6.0
LOUDNESS_SECONDS = 3.0
_ABSENT_DB = 25.0
"""A band this many dB below its typical level counts as absent, and does not adapt."""

_STARTS = np.array([LOWEST_BIN, *(frequency_bin(edge) for edge in EDGES[1:])])


def band_db(power: np.ndarray) -> tuple[float, ...]:
    """dBFS of the four bands and of the whole signal (from 20 Hz up), from a power spectrum [BINS]."""
    bass, mid, midhigh, high, air = (float(value) for value in np.add.reduceat(power, _STARTS))
    whole = bass + mid + midhigh + high + air
    return (*map(decibels, (bass, mid, midhigh, high)), decibels(whole))


def to_level(db: float, programme: float, headroom: float = HEADROOM_DB[-1]) -> float:
    """0 to 1 over RANGE_DB, 1 at `headroom` dB above the programme level."""
    return min(max((db - programme - headroom) / RANGE_DB + 1.0, 0.0), 1.0)


@dataclass
class LevelFollower:
    """Two envelope followers of a level, 0 to 1: fast (`level`) and slow (`presence`). attack, release: seconds."""

    attack: float = 0.004
    release: float = 0.08
    level: float = 0.0
    presence: float = 0.0

    def step(self, value: float) -> None:
        self.level = follow(self.level, value, self.attack, self.release, HOP_SECONDS)
        self.presence = follow(self.presence, value, 0.6, 2.5, HOP_SECONDS)


def _band_gains() -> list[AutomaticGain]:
    return [AutomaticGain(TARGET_DB + tilt, BAND_LIMIT_DB, start=20.0) for tilt in TILT_DB]


@dataclass
class BandLevels:
    """The four bands (index 0 to 3) and the whole signal (4). One step per hop."""

    levels: list[LevelFollower] = field(default_factory=lambda: [LevelFollower() for _ in range(5)])
    loudness: float = 0.0
    _gains: list[AutomaticGain] = field(default_factory=_band_gains)
    _loud_power: float = 0.0

    def step(self, db: tuple[float, ...], gain: float, automatic: bool, gate: bool) -> None:
        """Take one hop. db: from `band_db`. gain: manual plus automatic gain in dB. automatic: whether the reference
        levels adapt. gate: whether the noise gate is open."""
        for level, adaptation, value, headroom in zip(self.levels, self._gains, db, HEADROOM_DB, strict=False):
            gained = value + gain
            correction = adaptation.step(gained, gate and automatic and gained > adaptation.target - _ABSENT_DB)
            level.step(to_level(gained + correction * automatic, adaptation.target, headroom) if gate else 0.0)
        whole = db[4] + gain
        self.levels[4].step(to_level(whole, TARGET_DB) if gate else 0.0)
        power = 10.0 ** (whole / 10.0) if gate else 0.0
        self._loud_power += (power - self._loud_power) * HOP_SECONDS / LOUDNESS_SECONDS
        self.loudness = to_level(decibels(self._loud_power), TARGET_DB)
