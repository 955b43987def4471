"""Tempo: how far apart the beats are, from the autocorrelation of the last ten seconds of onset strength.

A tempo's score is the mean autocorrelation at one to eight beat periods (a comb, as in Scheirer, "Tempo and
beat analysis of acoustic musical signals", JASA 1998), times a log-normal octave prior (as in Ellis, "Beat
tracking by dynamic programming", JNMR 2007).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tpos_live.analysis.features import HOP_SECONDS

SLOWEST, FASTEST = 60.0, 180.0
"""BPM."""
PRIOR_BPM = 122.0
PRIOR_OCTAVES = 1.0
STEP = 1.0025
MULTIPLES = 8
_FRAMES = 2048


@cache
def tempo_grid() -> np.ndarray:
    """The tempi that are tried, BPM, float64 [n], 0.25 % apart."""
    count = int(np.log(FASTEST / SLOWEST) / np.log(STEP)) + 1
    return SLOWEST * STEP ** np.arange(count)


@cache
def _lags() -> tuple[np.ndarray, np.ndarray]:
    """Whole part and fraction of the lags in hops, [n, MULTIPLES]."""
    lags = (60.0 / tempo_grid() / HOP_SECONDS)[:, None] * np.arange(1, MULTIPLES + 1)
    whole = lags.astype(np.int64)
    return whole, lags - whole


@cache
def _prior() -> np.ndarray:
    return np.exp(-0.5 * (np.log2(tempo_grid() / PRIOR_BPM) / PRIOR_OCTAVES) ** 2)


def tempo_scores(strength: np.ndarray) -> np.ndarray:
    """Periodicity, about 0 to 1, of each tempo of `tempo_grid` in onset strength [hops], newest last."""
    count = strength.size
    centred = strength - strength.mean()
    spectrum = np.fft.rfft(centred, _FRAMES)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[: _FRAMES // 2]
    if correlation[0] <= 1e-9:
        return np.zeros_like(tempo_grid())
    known = np.arange(count)
    correlation = correlation[:count] / correlation[0] * (count / (count - 0.9 * known))
    correlation = np.concatenate([correlation, [0.0]])
    whole, part = _lags()
    valid = whole < 0.75 * count
    at = np.minimum(whole, count - 1)
    score = correlation[at] * (1.0 - part) + correlation[at + 1] * part
    return (score * valid).sum(axis=1) / np.maximum(valid.sum(axis=1), 1)


def best_tempo(scores: np.ndarray, near: float = 0.0, within: float = 0.06) -> tuple[float, float]:
    """The likeliest tempo in BPM and its periodicity; `near` a tempo (+- the share `within`) if given."""
    grid = tempo_grid()
    weighted = scores * _prior()
    if near:
        weighted = np.where(np.abs(grid / near - 1.0) <= within, scores, -1.0)
    index = int(np.argmax(weighted))
    if 0 < index < grid.size - 1:
        left, middle, right = scores[index - 1 : index + 2]
        bend = left - 2.0 * middle + right
        offset = 0.5 * (left - right) / bend if bend < -1e-12 else 0.0
        return float(grid[index] * STEP ** min(max(offset, -0.5), 0.5)), float(scores[index])
    return float(grid[index]), float(scores[index])
