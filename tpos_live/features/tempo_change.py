"""Tests the recent onsets for a pulse at the current tempo (`repeated`), and for another tempo (`TempoChange`).

With a pulse, onsets repeat after one, two, four or eight beats. The claps of a crowd and noise repeat nothing, however
loud they are. In 14 pieces of `benchmarks/real_beats.py`, 1 % of the updates have a correlation below REPEATED; of
random claps, 6 or 20 per second, 99 % have.

The mean over 20 s (`tempo.py`) ignores fills and breaks, but needs eight seconds to accept another tempo. After a
change of tempo, the onsets of the last three seconds correlate clearly at the new tempo, weakly at the old one, and
weakly with the onsets of two bars before. A fill fails one of these three tests: it still falls on beats of the old
tempo, or it repeats nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tpos_live.features.tempo import best_tempo, comb_scores, correlate, tempo_grid

FIRST_HOPS = 600
"""Hops of onset history that both tests need."""
REPEATED = 0.3
"""Correlation from which onsets count as repeated."""
PULSE_HOPS, PULSE_BEATS = 250, 4.0
"""Length of the recent onsets in the test for a pulse, whichever is longer."""
_LAGS = (1.0, 2.0, 4.0, 8.0)
"""Beats after which a pulse repeats."""
WINDOW_HOPS = 300
"""Length of the recent onsets in the test for another tempo."""
LEAST = 0.3
"""Smallest score of another tempo."""
LOST = 0.5
"""Share of the new tempo's score that the old tempo must stay below."""
SAME = 0.03
"""Relative difference below which two tempi are the same."""
OCTAVE = 0.06
"""Distance from a whole number of octaves, in octaves, below which two tempi are the same."""
AGREEING_UPDATES = 4
"""Updates (four per second) in a row that must find the same new tempo."""


def repeated(strength: np.ndarray, beat: float) -> float:
    """Largest correlation of the recent onsets with those of _LAGS beats before, -1 to 1; 1 if the history is too
    short.

    strength: onset strength [hops], newest last. beat: seconds.
    """
    hops = np.arange(strength.size)
    recent = hops[-round(max(PULSE_HOPS, PULSE_BEATS * 100.0 * beat)) :]
    level = np.sqrt(strength)  # so that weak onsets count, too
    lags = [100.0 * beat * beats for beats in _LAGS if 100.0 * beat * beats <= recent[0]]  # within the history
    return max((_correlation(level[recent], np.interp(recent - lag, hops, level)) for lag in lags), default=1.0)


@dataclass
class TempoChange:
    """Compares the recent onsets with the current tempo. One step per update."""

    _tempo: float = 0.0
    _updates: int = 0

    def step(self, strength: np.ndarray, held: float, fastest: float) -> float:
        """The new tempo in BPM, in any octave, once AGREEING_UPDATES updates agree; else 0.

        strength: onset strength [hops] since the last change, newest last. held: the current tempo in BPM. fastest: the
        fastest tempo to look for.
        """
        found = _other_tempo(strength, held, fastest) if strength.size >= FIRST_HOPS else 0.0
        same = found > 0.0 and self._tempo > 0.0 and abs(found / self._tempo - 1.0) < SAME
        self._updates = self._updates + 1 if same else int(found > 0.0)
        self._tempo = found
        return found if self._updates >= AGREEING_UPDATES else 0.0


def _other_tempo(strength: np.ndarray, held: float, fastest: float) -> float:
    """The tempo of the recent onsets in BPM; 0 if it is the held one, half or double of it, or unclear."""
    onsets = correlate(strength[-WINDOW_HOPS:])
    if onsets is None:
        return 0.0
    scores, grid = comb_scores(onsets, fastest), tempo_grid(fastest)
    tempo, score = best_tempo(scores)
    octaves = float(np.log2(tempo / held))
    if score < LEAST or abs(octaves - round(octaves)) < OCTAVE:
        return 0.0
    near = scores[np.abs(grid / held - 1.0) < SAME]
    kept = float(near.max(initial=float(np.interp(held, grid, scores))))
    return tempo if max(kept, _bars_repeated(strength, 60.0 / held)) < LOST * score else 0.0


def _bars_repeated(strength: np.ndarray, beat: float) -> float:
    """Correlation of the recent onsets with those of two bars before, or of one if the history is too short. beat:
    seconds."""
    recent = np.arange(strength.size - WINDOW_HOPS, strength.size)
    lag = 100.0 * beat * (8.0 if recent[0] > 800.0 * beat else 4.0)
    return _correlation(strength[recent], np.interp(recent - lag, np.arange(strength.size), strength))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float(np.dot(one, other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
