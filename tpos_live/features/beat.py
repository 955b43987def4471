"""Input and output of the beat tracker. The confidence is calibrated: it is the expected share of correct beats."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.features.tempo import FASTEST

RAW_CONFIDENCE = (0.0, 0.04, 0.07, 0.14, 0.2, 0.37, 0.56, 0.76, 0.96, 1.0)
RIGHT_BEATS = (0.0, 0.26, 0.37, 0.54, 0.59, 0.62, 0.7, 0.78, 0.84, 0.98)
"""Raw confidence (how clear tempo and phase are) was compared with the beats of 52 pieces whose beats are known
(`benchmarks/real_beats.py`) and of noise and random claps, where each beat counts as wrong; both weigh the same. The
table is an isotonic regression (Barlow et al., "Statistical Inference under Order Restrictions", 1972), thinned. At a
raw confidence of 0 it is 0, and not 0.13 as in the regression: without evidence no beat is known."""


@dataclass(frozen=True, slots=True)
class BeatEvidence:
    """Evidence of one hop for the beat. All values are spectral flux, 0 or more.

    strength: all onsets, with a higher weight for kicks, which predict the beat best. every: all onsets, unweighted.
    kick, snare: drums. chord: change of the harmony.
    """

    strength: float = 0.0
    every: float = 0.0
    kick: float = 0.0
    snare: float = 0.0
    chord: float = 0.0


@dataclass(frozen=True, slots=True)
class TempoControl:
    """The user's control of the tempo. fixed: BPM, 0 = follow the audio. source: auto, tap or off. fastest: the fastest
    tempo that is followed, BPM. tapped, resync, doubled, halved: triggered in this hop."""

    fixed: float = 0.0
    source: str = "auto"
    fastest: float = FASTEST
    tapped: bool = False
    resync: bool = False
    doubled: bool = False
    halved: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """The beat at the end of a hop. tempo: BPM, 0 while unknown. phase: 0 to 1 from beat to beat. bar_phase: 0 to 1
    from downbeat to downbeat. beats: count since the start."""

    tempo: float = 0.0
    confidence: float = 0.0
    phase: float = 0.0
    bar_phase: float = 0.0
    beats: int = 0

    @property
    def period(self) -> float:
        """Seconds per beat, 0 while unknown."""
        return 60.0 / self.tempo if self.tempo else 0.0
