"""The bar: where in a bar of four beats the music is, from what falls where.

Rules that most music in 4/4 keeps: the kick is on one, the snare on two and four (or on three alone, at half time),
the chord changes with the bar, and strokes are rarer the further they are from a beat. Ten seconds of sound are
folded on the length of a bar and laid against these rules in every position that there is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

BEATS_PER_BAR = 4
BINS = 96
"""Positions in a bar: a sixteenth is six of them, a triplet eight."""
STREAMS = 4
RULES = np.array(
    [
        # 1                    2                      3                      4
        [1.0, -0.4, 0.0, -0.3, 0.1, -0.4, 0.0, -0.3, 0.5, -0.3, 0.1, -0.3, 0.0, -0.4, 0.0, -0.3],  # kick
        [-0.5, -0.2, -0.2, -0.1, 0.6, -0.2, -0.2, 0.0, 0.4, -0.2, -0.2, 0.0, 0.6, -0.2, -0.2, 0.0],  # snare
        [0.3, -0.2, 0.1, -0.2, 0.2, -0.2, 0.1, -0.2, 0.3, -0.2, 0.1, -0.2, 0.2, -0.2, 0.1, -0.2],  # every onset
        [1.0, -0.2, -0.2, -0.2, -0.2, -0.2, -0.2, -0.2, 0.1, -0.2, -0.2, -0.2, -0.2, -0.2, -0.2, -0.2],  # chord
    ]
)
"""How much a stroke on each sixteenth speaks for the bar that it is in."""
CLEAR = 0.06
"""Lead of the best first beat over the next that makes it known."""
SURE_LEAD = 0.25
MEMORY_LOOKS = 120.0
"""Looks, four a second, over whose findings the mean is taken: the sound of ten seconds may be a fill or a break."""
SURE_LOOKS = 40.0
"""So many looks are enough to be sure of what they say."""
HELD_BEATS = 64
"""How long what somebody said, or a drop, outweighs what is heard."""

_BLUR = np.exp(-0.5 * (np.minimum(np.arange(BINS), BINS - np.arange(BINS)) / 1.2) ** 2)
_BLUR /= _BLUR.sum()


def _rules() -> np.ndarray:
    """complex [STREAMS, BINS // 2 + 1]: correlating with it blurs and lays against the rules."""
    spread = np.zeros((STREAMS, BINS))
    spread[:, :: BINS // RULES.shape[1]] = RULES - RULES.mean(axis=1, keepdims=True)
    return np.fft.rfft(spread) * np.fft.rfft(_BLUR)


_SPECTRUM = _rules()


def positions(streams: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """How well each position in the bar, float64 [BINS], explains what was heard as where the music is now.

    streams: kick, snare, every onset, chord: [STREAMS, hops], 0 or more. bars: how many bars ago each hop was.
    """
    at = np.floor(-bars * BINS + 0.5).astype(np.int64) % BINS
    fold = np.stack([np.bincount(at, row, BINS) for row in streams])
    total = fold.sum(axis=1, keepdims=True)
    fold *= BINS / RULES.shape[1] / np.maximum(total, 1e-9) * (total > 1e-6)
    return np.asarray(np.fft.irfft((np.conj(np.fft.rfft(fold)) * _SPECTRUM).sum(axis=0), BINS))


@dataclass
class DownbeatTracker:
    """Finds the first beat of each bar. The answer changes only at a beat, and only on clear evidence."""

    confidence: float = 0.0
    _first: int = 0
    _held_until: int = -1
    _evidence: np.ndarray = field(default_factory=lambda: np.zeros(BEATS_PER_BAR))
    _found: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    _looks: int = 0

    def beat_in_bar(self, beat: int) -> int:
        """0 for the first beat of a bar, to 3."""
        return (beat - self._first) % BEATS_PER_BAR

    def anchor(self, beat: int) -> None:
        """`beat` is the first of its bar: somebody said so."""
        self._first, self._held_until, self.confidence = beat, beat + HELD_BEATS, 1.0

    def forget(self) -> None:
        """Another tempo: what fell on the beats of the old one says nothing."""
        self._evidence[:] = 0.0
        self._looks, self.confidence = 0, 0.0

    def remember(self, found: np.ndarray, bars: float) -> np.ndarray:
        """What `positions` found now and before, float64 [BINS], as where the music is now; `bars` have gone by since
        the start."""
        turn = round(bars * BINS)
        self._looks += 1
        self._found += (np.roll(found, -turn) - self._found) / min(self._looks, MEMORY_LOOKS)
        return np.roll(self._found, turn)

    def look(self, beat: int, phase: float, found: np.ndarray) -> None:
        """Take in what `remember` gave, at `phase` of `beat`."""
        bins = BINS // BEATS_PER_BAR
        at = (round(phase * bins) + bins * np.arange(BEATS_PER_BAR)) % BINS
        # found[at[k]] speaks for `beat` being number k of its bar, that is, for beat - k being a first one.
        self._evidence = found[at][(beat - np.arange(BEATS_PER_BAR)) % BEATS_PER_BAR]

    def turn(self, beat: int) -> None:
        """`beat` has begun: if it is clear that a bar begins with it, one does."""
        if beat < self._held_until or not self._looks:
            return
        order = np.sort(self._evidence)
        lead = float(order[-1] - order[-2])
        best = int(np.argmax(self._evidence))
        sure = min(lead / SURE_LEAD, 1.0) * min(self._looks / SURE_LOOKS, 1.0)
        if best == self._first % BEATS_PER_BAR:
            self.confidence = sure
        elif lead > CLEAR and best == beat % BEATS_PER_BAR:
            self._first, self.confidence = beat, sure
        else:
            self.confidence = max(self.confidence - 0.05, 0.0)
