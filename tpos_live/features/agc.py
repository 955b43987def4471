"""Automatic gain control: slow, bounded, and frozen in silence, so that a breakdown does not raise the gain.

Two gains in series: `SetUpGain` raises an input whose loudest music is too quiet; `AutomaticGain` then corrects the
programme level by a few dB, up or down.
"""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.spectrum import decibels

MEMORY_SECONDS = 45.0
"""Time constant of the programme level."""
RISE_DB = 0.3
FALL_DB = 3.0
"""Largest change of the gain in dB per second, up (RISE_DB) and down."""


LOUD_DB = -22.0
"""Level in dBFS (mean over LOUD_SECONDS) to which the loudest music is raised. A common line level is above it."""
LIFT_LIMIT_DB = 24.0
LOUD_SECONDS = 3.0
LIFT_RISE_DB = 1.5
LIFT_FALL_DB = 20.0
"""Largest change of the gain in dB per second, up (LIFT_RISE_DB) and down."""
FORGET_DB = 1.0 / 60.0
"""Decay of the loudest level in dB per second of sound: after a fader is moved down, the gain follows within
minutes."""


def approach(gain: float, goal: float, rise_db: float, fall_db: float) -> float:
    """The gain in dB after one hop towards `goal`. rise_db, fall_db: slew rate limits in dB per second."""
    return gain + min(max(goal - gain, -fall_db * HOP_SECONDS), rise_db * HOP_SECONDS)


@dataclass
class AutomaticGain:
    """Brings the programme level, the mean power of the last 45 s, to `target` dB.

    limit: largest gain in dB, up or down. start: seconds at the target level that are assumed before the first sound,
    so that one loud event at the start does not set the programme level. gain: in dB.
    """

    target: float
    limit: float = 12.0
    start: float = 1.0
    gain: float = 0.0
    _power: float = 0.0
    _heard: float = 0.0

    def step(self, db: float, sounding: bool) -> float:
        """Take the level `db` of one hop; returns the gain in dB. sounding: whether the noise gate is open; if not,
        nothing changes."""
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


@dataclass
class SetUpGain:
    """A gain of 0 to LIFT_LIMIT_DB that raises the loudest music to LOUD_DB. It precedes `AutomaticGain`.

    A breakdown changes nothing, because the loudest level is remembered. Silence and steady noise change nothing,
    because the noise gate is closed then.
    """

    gain: float = 0.0
    _power: float = 0.0
    _heard: float = 0.0
    _loudest: float = -120.0

    def step(self, db: float, sounding: bool) -> float:
        """Take the level `db` of one hop in dBFS, after the manual gain; returns the gain in dB. sounding: whether the
        noise gate is open; if not, nothing changes."""
        if not sounding:
            return self.gain
        self._heard = min(self._heard + HOP_SECONDS, LOUD_SECONDS)
        self._power += (10.0 ** (db / 10.0) - self._power) * HOP_SECONDS / self._heard
        self._loudest = max(self._loudest - FORGET_DB * HOP_SECONDS, decibels(self._power))
        goal = min(max(LOUD_DB - self._loudest, 0.0), LIFT_LIMIT_DB)
        self.gain = approach(self.gain, goal, LIFT_RISE_DB, LIFT_FALL_DB)
        return self.gain
