"""Is there a pulse: do the recent onsets repeat after one, two, four or eight beats of the held tempo?

Claps of a crowd and noise repeat nothing, however loud they are. In 14 pieces of `benchmarks/real_beats.py`, 1 % of the
updates correlate less than REPEATED; of random claps, 6 or 20 per second, 99 % do.
"""

from __future__ import annotations

import numpy as np

REPEATED = 0.3
"""Correlation from which onsets repeat."""
WINDOW_HOPS, WINDOW_BEATS = 250, 4.0
"""Length of the recent onsets, whichever is longer."""
FIRST_HOPS = 600
"""Onset history from which the pulse is judged."""
_LAGS = (1.0, 2.0, 4.0, 8.0)


def repeated(strength: np.ndarray, beat: float) -> float:
    """Largest correlation of the recent onsets with those some beats before, -1 to 1; 1 where too little is known.

    strength: onset strength [hops], newest last. beat: seconds.
    """
    hops = np.arange(strength.size)
    recent = hops[-round(max(WINDOW_HOPS, WINDOW_BEATS * 100.0 * beat)) :]
    level = np.sqrt(strength)  # weak onsets of a bar count, too
    found = [_correlation(level[recent], np.interp(recent - lag, hops, level)) for lag in _lags(recent[0], beat)]
    return max(found, default=1.0)


def _lags(first: int, beat: float) -> list[float]:
    """In hops; those that the history covers."""
    return [100.0 * beat * beats for beats in _LAGS if 100.0 * beat * beats <= first]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float(np.dot(one, other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
