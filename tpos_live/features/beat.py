"""What the beat tracker is given and what it finds."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.features.tempo import FASTEST


@dataclass(frozen=True, slots=True)
class BeatEvidence:
    """Evidence of one hop for the beat; fluxes, 0 or more.

    strength: onset strength, weighted by how well it predicts the beat. every: all onsets, unweighted. kick, snare:
    drums. chord: change of the harmony.
    """

    strength: float = 0.0
    every: float = 0.0
    kick: float = 0.0
    snare: float = 0.0
    chord: float = 0.0


@dataclass(frozen=True, slots=True)
class TempoControl:
    """fixed: BPM, 0 = follow the audio. source: auto, tap or off. fastest: the fastest tempo that is followed, BPM.
    tapped, resync, doubled, halved: triggered in this hop."""

    fixed: float = 0.0
    source: str = "auto"
    fastest: float = FASTEST
    tapped: bool = False
    resync: bool = False
    doubled: bool = False
    halved: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """tempo: BPM, 0 while unknown. phase, bar_phase: 0 to 1. beats: count since the start. bar_confidence: confidence
    of the downbeat."""

    tempo: float = 0.0
    confidence: float = 0.0
    phase: float = 0.0
    bar_phase: float = 0.0
    beats: int = 0
    bar_confidence: float = 0.0
