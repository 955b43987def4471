"""The downbeat tracker: finds the position in a bar of four beats.

It uses rules that most music in 4/4 follows: the kick falls on beat one, the snare on two and four (or on three alone
at half time), the chord changes with the bar, and onsets get rarer the further they are from a beat. Ten seconds of
audio are folded at the length of a bar and correlated with these rules at every position.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

BEATS_PER_BAR = 4
BINS = 96
"""Positions in a bar: a sixteenth note has six, an eighth-note triplet eight."""
STREAMS = 4
"""Rows of RULES."""
RULES = np.array(
    [
        # 1                    2                      3                      4
        [1.0, -0.4, 0.0, -0.3, 0.1, -0.4, 0.0, -0.3, 0.5, -0.3, 0.1, -0.3, 0.0, -0.4, 0.0, -0.3],  # kick
        [-0.5, -0.2, -0.2, -0.1, 0.6, -0.2, -0.2, 0.0, 0.4, -0.2, -0.2, 0.0, 0.6, -0.2, -0.2, 0.0],  # snare
        [0.3, -0.2, 0.1, -0.2, 0.2, -0.2, 0.1, -0.2, 0.3, -0.2, 0.1, -0.2, 0.2, -0.2, 0.1, -0.2],  # every onset
        [1.0, -0.2, -0.2, -0.2, -0.2, -0.2, -0.2, -0.2, 0.1, -0.2, -0.2, -0.2, -0.2, -0.2, -0.2, -0.2],  # chord
    ]
)
"""Evidence of an onset on each sixteenth of the bar, per stream."""
CLEAR = 0.06
"""Lead of the best downbeat over the second best from which it is accepted."""
MEMORY_UPDATES = 120.0
"""Updates (four per second) over which evidence is averaged: ten seconds may be a fill or a break."""
HELD_BEATS = 64
"""Beats for which a resync or a drop overrides the audio."""

_BLUR = np.exp(-0.5 * (np.minimum(np.arange(BINS), BINS - np.arange(BINS)) / 1.2) ** 2)
_BLUR /= _BLUR.sum()


def _rules() -> np.ndarray:
    """complex [STREAMS, BINS // 2 + 1]: spectrum of RULES, blurred by 1.2 positions, for circular correlation."""
    spread = np.zeros((STREAMS, BINS))
    spread[:, :: BINS // RULES.shape[1]] = RULES - RULES.mean(axis=1, keepdims=True)
    return np.fft.rfft(spread) * np.fft.rfft(_BLUR)


_SPECTRUM = _rules()


def positions(streams: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Score of each bar position for being the current one, float64 [BINS].

    streams: kick, snare, every onset, chord: [STREAMS, hops], 0 or more. bars: age of each hop in bars.
    """
    at = np.floor(-bars * BINS + 0.5).astype(np.int64) % BINS
    fold = np.stack([np.bincount(at, row, BINS) for row in streams])
    total = fold.sum(axis=1, keepdims=True)
    fold *= BINS / RULES.shape[1] / np.maximum(total, 1e-9) * (total > 1e-6)
    return np.asarray(np.fft.irfft((np.conj(np.fft.rfft(fold)) * _SPECTRUM).sum(axis=0), BINS))


@dataclass
class DownbeatTracker:
    """Finds the first beat of each bar. The result changes only at a beat, and only on clear evidence."""

    _first: int = 0
    _held_until: int = -1
    _evidence: np.ndarray = field(default_factory=lambda: np.zeros(BEATS_PER_BAR))
    _mean_scores: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    _updates: int = 0

    def beat_in_bar(self, beat: int) -> int:
        """0 for the first beat of a bar, up to 3."""
        return (beat - self._first) % BEATS_PER_BAR

    def anchor(self, beat: int) -> None:
        """Make `beat` the first of its bar, after a resync or a drop."""
        self._first, self._held_until = beat, beat + HELD_BEATS

    def renumber(self, beat: int, number: int) -> None:
        """Make `beat` number `number` (0 to 3) of its bar, after a change of tempo, which invalidates earlier
        evidence."""
        self._first = beat - number
        self.forget()

    def forget(self) -> None:
        """Drop all evidence, after a change of tempo."""
        self._evidence[:] = 0.0
        self._updates = 0

    def remember(self, scores: np.ndarray, bars: float) -> np.ndarray:
        """Average the scores of `positions` with earlier ones; returns float64 [BINS], as `positions` does. bars:
        elapsed since the start."""
        turn = round(bars * BINS)
        self._updates += 1
        self._mean_scores += (np.roll(scores, -turn) - self._mean_scores) / min(self._updates, MEMORY_UPDATES)
        return np.roll(self._mean_scores, turn)

    def keep_evidence(self, beat: int, phase: float, scores: np.ndarray) -> None:
        """Store the scores of `remember`, taken at `phase` of `beat`, as evidence for `turn`."""
        bins = BINS // BEATS_PER_BAR
        at = (round(phase * bins) + bins * np.arange(BEATS_PER_BAR)) % BINS
        # scores[at[k]] is the evidence that `beat` is number k of its bar, that is, that beat - k is a downbeat.
        self._evidence = scores[at][(beat - np.arange(BEATS_PER_BAR)) % BEATS_PER_BAR]

    def turn(self, beat: int) -> None:
        """`beat` has begun; start a bar with it if the evidence is clear."""
        if beat < self._held_until or not self._updates:
            return
        order = np.sort(self._evidence)
        if order[-1] - order[-2] > CLEAR and int(np.argmax(self._evidence)) == beat % BEATS_PER_BAR:
            self._first = beat
