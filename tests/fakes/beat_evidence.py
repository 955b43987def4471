"""Patterns as the beat tracker hears them, at a tempo that may change: strokes without their sound."""

from __future__ import annotations

import numpy as np
from fakes.music import PATTERNS

from tpos_live.features.beat import BeatEvidence

FIRST = 0.2
"""Seconds before the first beat."""
WEIGHTS = ((0.05, 0.25, 0.0), (0.07, 0.0, 0.06), (0.06, 0.0, 0.0))
"""Flux of a stroke of kick, snare, hats: of every onset, kick, snare. About as `DrumDetector` and `Flux` give it."""
SWITCH = 14.0
"""Seconds after which `switch` changes its tempo."""


def evidence(pattern: str, tempo: np.ndarray, seed: int = 0) -> list[BeatEvidence]:
    """One hop each of `tempo`, BPM [hops]. Strokes are 2 ms (one standard deviation) beside the grid."""
    rng = np.random.default_rng(seed)
    hops = len(tempo)
    flux = np.abs(rng.normal(0.0, 0.001, (4, hops + 20)))
    beats = np.concatenate([[0.0], np.cumsum(tempo / 6000.0)])

    def hop_of(beat: float) -> float:
        return float(100.0 * (FIRST + 0.005) + np.interp(beat, beats, np.arange(hops + 1)))

    for bar in range(int(beats[-1] / 4.0)):
        for row, weights in zip(PATTERNS[pattern], WEIGHTS, strict=True):
            for step, mark in enumerate(row):
                hop = hop_of(4.0 * (bar + step / len(row))) + 100.0 * rng.normal(0.0, 0.002)
                loud = (0.4 if mark == "o" else 1.0) * rng.normal(1.0, 0.1) * (mark != "." and hop < hops)
                whole, part = divmod(min(hop, hops), 1.0)
                flux[:3, int(whole)] += np.multiply(weights, loud * (1.0 - part))
                flux[:3, int(whole) + 1] += np.multiply(weights, loud * part)
        flux[3, min(int(hop_of(4.0 * bar)) + 9, hops + 10)] += 0.2
    every, kicks, snares, chords = flux[:, :hops]
    return [BeatEvidence(e + 4 * k, e, k, s, c) for e, k, s, c in zip(every, kicks, snares, chords, strict=True)]


def switch(pattern: str, first: float, second: float, seconds: float = 10.0) -> list[BeatEvidence]:
    """SWITCH seconds at one tempo, then `seconds` at another."""
    tempo = np.repeat([first, second], [round(100 * SWITCH), round(100 * seconds)])
    return evidence(pattern, tempo, seed=int(first + second))
