"""Automatic gain control: slow, bounded, and frozen in silence, so that a breakdown does not raise the gain."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.stft import decibels

MEMORY_SECONDS = 45.0
RISE_DB = 0.3
FALL_DB = 3.0
"""Largest change of the gain in dB per second, up (RISE_DB) and down."""


def approach(gain: float, goal: float, rise_db: float, fall_db: float) -> float:
    """The gain one hop later, on the way to `goal`, in dB. rise_db, fall_db: the largest change in dB per second."""
    return gain + min(max(goal - gain, -fall_db * HOP_SECONDS), rise_db * HOP_SECONDS)


@dataclass
class AutomaticGain:
    """Brings the programme level, the mean power of the last 45 s, to `target` dB.

    limit: the gain stays within +- this, in dB. start: seconds at the target level that are assumed before the first
    sound, so that one loud event at the start does not set the programme level.
    """

    target: float
    limit: float = 12.0
    start: float = 1.0
    gain: float = 0.0
    _power: float = 0.0
    _heard: float = 0.0

    def step(self, db: float, sounding: bool) -> float:
        """Take the level `db` of one hop; returns the gain in dB. Nothing changes while `sounding` is False."""
        if not sounding:
            return self.gain
        if self._heard == 0.0:
            self._power, self._heard = 10.0 ** (self.target / 10.0), self.start
        self._heard = min(self._heard + HOP_SECONDS, MEMORY_SECONDS)
        self._power += (10.0 ** (db / 10.0) - self._power) * HOP_SECONDS / self._heard
        goal = min(max(self.target - self.programme, -self.limit), self.limit)
        self.gain = approach(self.gain, goal, RISE_DB, FALL_DB)
        return self.gain

    @property
    def programme(self) -> float:
        """The programme level in dB."""
        return decibels(self._power)
