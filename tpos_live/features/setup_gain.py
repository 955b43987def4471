"""The gain of a show that was set up too quietly: it lifts the loudest music that was heard, never a quiet part."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.features.agc import approach
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.stft import decibels

LOUD_DB = -22.0
"""Level in dBFS, as a mean over MEAN_SECONDS, that the loudest music is lifted to. A common line level is above it."""
LIMIT_DB = 24.0
MEAN_SECONDS = 3.0
RISE_DB = 1.5
FALL_DB = 20.0
"""Largest change of the gain in dB per second, up (RISE_DB) and down."""
FORGET_DB = 1.0 / 60.0
"""The loudest level sinks by this many dB per second of sound: a fader that was moved down is found after minutes."""


@dataclass
class SetUpGain:
    """From 0 to LIMIT_DB. It stands before `AutomaticGain`, which follows the programme by a few dB in both ways.

    A breakdown changes nothing, because the loudest music is remembered; silence and steady noise change nothing,
    because the gate is closed then.
    """

    gain: float = 0.0
    _power: float = 0.0
    _heard: float = 0.0
    _loudest: float = -120.0

    def step(self, db: float, sounding: bool) -> float:
        """Take the level `db` of one hop in dBFS, after the manual gain; returns the gain in dB. Nothing changes while
        `sounding` is False."""
        if not sounding:
            return self.gain
        self._heard = min(self._heard + HOP_SECONDS, MEAN_SECONDS)
        self._power += (10.0 ** (db / 10.0) - self._power) * HOP_SECONDS / self._heard
        self._loudest = max(self._loudest - FORGET_DB * HOP_SECONDS, decibels(self._power))
        goal = min(max(LOUD_DB - self._loudest, 0.0), LIMIT_DB)
        self.gain = approach(self.gain, goal, RISE_DB, FALL_DB)
        return self.gain
