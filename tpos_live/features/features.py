"""The audio features: one record per 10 ms."""

from __future__ import annotations

import math
from dataclasses import dataclass

HOP = 480
"""Samples per hop."""
HOP_SECONDS = 0.01
TRUST = 0.4
"""Confidence below which the beat is not used: its pulses fade out over one bar, and decisions have their own grid."""


@dataclass(frozen=True, slots=True)
class Features:
    """Values are 0 to 1 unless a unit is given; names are those of `parameters.FEATURES`.

    time: seconds of audio processed, at the end of the hop. gain: automatic gain in dB. *_hit: transients.
    *_presence: slow levels. onset: onset strength of this hop. harmonic: level of sustained sound;
    percussive: level of transients. beat_phase and bar_phase run from 0 to 1; beats counts beats since the start,
    predicted ones included. energy: level relative to the usual level of this music, slow. tension: expectation of a
    drop. sections: changes of section since the start. tempo: BPM, 0 while unknown. gate: False in silence.
    """

    time: float = 0.0
    gain: float = 0.0
    gate: bool = False
    level: float = 0.0
    bass: float = 0.0
    mid: float = 0.0
    midhigh: float = 0.0
    high: float = 0.0
    level_hit: float = 0.0
    bass_hit: float = 0.0
    mid_hit: float = 0.0
    midhigh_hit: float = 0.0
    high_hit: float = 0.0
    presence: float = 0.0
    bass_presence: float = 0.0
    mid_presence: float = 0.0
    midhigh_presence: float = 0.0
    high_presence: float = 0.0
    onset: float = 0.0
    kick: float = 0.0
    snare: float = 0.0
    hats: float = 0.0
    harmonic: float = 0.0
    percussive: float = 0.0
    loudness: float = 0.0
    tempo: float = 0.0
    confidence: float = 0.0
    beat_phase: float = 0.0
    bar_phase: float = 0.0
    beats: int = 0
    buildup: float = 0.0
    drop: float = 0.0
    energy: float = 0.0
    tension: float = 0.0
    sections: int = 0
    silence: float = 1.0

    @property
    def dropped(self) -> bool:
        """Whether a drop begins in this hop: `drop` is 1 there, and falls from the next hop on."""
        return self.drop == 1.0

    @property
    def beat(self) -> float:
        """The cosine of the beat phase, times the confidence: -1 to 1."""
        return self.confidence * math.cos(2.0 * math.pi * self.beat_phase)
