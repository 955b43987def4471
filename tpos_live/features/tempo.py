"""Tempo: the beat interval, from the last ten seconds of onset strength and the mean of earlier estimates.

Three questions, each with its own method. The metre: a tempo's score is the mean autocorrelation at one to eight beat
periods (a comb, as in Scheirer, "Tempo and beat analysis of acoustic musical signals", JASA 1998) times a log-normal
prior (as in Ellis, "Beat tracking by dynamic programming", JNMR 2007). The octave: people feel a tempo between about 80
and 160 BPM; at the edges of that octave the number of onsets per beat decides, and whether the drums repeat after one
beat but not after half a beat. The exact value: the maximum of the periodogram's power at the harmonics of the beat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from tpos_live.features.features import HOP_SECONDS

SLOWEST, FASTEST, LIMIT = 60.0, 180.0, 240.0
"""BPM. The fastest tempo that is followed is a parameter: FASTEST by default, LIMIT at most."""
PRIOR_BPM = 113.0
PRIOR_OCTAVES = 0.9
COMFORT_OCTAVES = 0.42
"""Tempi within this distance of PRIOR_BPM (84 to 151 BPM) are equally likely."""
DISCOMFORT = 4.0
"""Loss of score per octave beyond."""
STROKES_PER_BEAT = 2.2
STROKE_OCTAVES = 0.8
REPEAT_WEIGHT = 0.7
LOYALTY = 0.1
"""Bonus of the octave that is held."""
MEMORY_LOOKS = 80.0
"""Updates (four per second) over which the periodicity is averaged: ten seconds may be a fill or a break."""
AGAINST = 0.6
"""Share of the best score below which the held tempo counts as contradicted."""
PATIENCE_LOOKS = 8
"""After this many contradicting updates in a row, earlier estimates are dropped."""
STEP = 1.0025
MULTIPLES = 8
HARMONICS = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0])
"""Multiples of the beat frequency."""
FINE = np.linspace(-0.006, 0.006, 25)
DRIFTS = np.array([0.0, -0.002, -0.001, 0.001, 0.002])
"""Changes of the tempo per second, as a share of it: a DJ who goes from 124 to 132 BPM in a minute makes 0.001."""
DRIFT_GAIN = 1.02
"""Factor in power from which a drift is accepted: without it, noise in the onsets would move a steady tempo."""
_FRAMES = 4096


def tempo_grid(fastest: float = FASTEST) -> np.ndarray:
    """The candidate tempi in BPM, float64 [n], 0.25 % apart. A slower limit gives the beginning of the same grid."""
    return _whole_grid()[: int(np.log(fastest / SLOWEST) / np.log(STEP)) + 1]


@cache
def _whole_grid() -> np.ndarray:
    return SLOWEST * STEP ** np.arange(int(np.log(LIMIT / SLOWEST) / np.log(STEP)) + 1)


@cache
def _lags() -> tuple[np.ndarray, np.ndarray]:
    """Whole part and fraction of the lags in hops up to LIMIT, [n, MULTIPLES]."""
    lags = (60.0 / tempo_grid(LIMIT) / HOP_SECONDS)[:, None] * np.arange(1, MULTIPLES + 1)
    whole = lags.astype(np.int64)
    return whole, lags - whole


@cache
def _prior() -> np.ndarray:
    return np.exp(-0.5 * (np.log2(tempo_grid(LIMIT) / PRIOR_BPM) / PRIOR_OCTAVES) ** 2)


def to_octave(tempo: float, fastest: float) -> float:
    """`tempo`, doubled or halved until it is between SLOWEST and `fastest`."""
    while tempo > fastest:
        tempo *= 0.5
    while tempo < SLOWEST:
        tempo *= 2.0
    return tempo


def comb_scores(onsets: np.ndarray, fastest: float) -> np.ndarray:
    """Score of each tempo of `tempo_grid(fastest)`, about 0 to 1. onsets: autocorrelation by lag in hops."""
    size = tempo_grid(fastest).size
    whole, part = (lags[:size] for lags in _lags())
    count = onsets.size - 1
    valid = whole < 0.75 * count
    at = np.minimum(whole, count - 1)
    score = onsets[at] * (1.0 - part) + onsets[at + 1] * part
    return np.asarray((score * valid).sum(axis=1) / np.maximum(valid.sum(axis=1), 1))


@dataclass(frozen=True)
class Periodicity:
    """power: of the onset strength [drifts, bins], at multiples of `resolution` Hz, for each of DRIFTS. onsets, drums:
    autocorrelation by lag in hops, 1 at lag 0. strokes: onsets per second. fastest: the fastest tempo, BPM."""

    power: np.ndarray
    onsets: np.ndarray
    drums: np.ndarray
    strokes: float
    fastest: float = FASTEST

    resolution = 1.0 / (_FRAMES * HOP_SECONDS)

    def scores(self) -> np.ndarray:
        """Score of each tempo of `tempo_grid`, about 0 to 1."""
        return comb_scores(self.onsets, self.fastest)

    def octave(self, tempo: float, held: float = 0.0) -> float:
        """`tempo`, its half or its double, whichever people feel; `held`: the current tempo."""
        choices = [t for t in (0.5 * tempo, tempo, 2.0 * tempo) if SLOWEST <= t <= self.fastest]
        return max(choices, key=lambda t: self._felt(t) + LOYALTY * (abs(t - held) < 0.03 * t), default=tempo)

    def _felt(self, tempo: float) -> float:
        far = max(abs(float(np.log2(tempo / PRIOR_BPM))) - COMFORT_OCTAVES, 0.0)
        if self.fastest > FASTEST and tempo > PRIOR_BPM:
            far = 0.0  # a person asked for fast tempi
        strokes = max(self.strokes, 0.1) * 60.0 / tempo
        crowd = float(np.log2(strokes / STROKES_PER_BEAT)) / STROKE_OCTAVES
        period = 60.0 / tempo / HOP_SECONDS
        lags = np.arange(self.drums.size)
        beat, half = np.interp((period, 0.5 * period), lags, self.drums)
        return float(REPEAT_WEIGHT * max(beat - half, 0.0) - DISCOMFORT * far - crowd * crowd)

    def refine(self, *tempi: float, drifting: bool = True) -> float:
        """The tempo in BPM near one of `tempi` with the most power at its harmonics; if `drifting`, it may drift, and
        this is its last value."""
        drifts = len(DRIFTS) if drifting else 1
        return max((self._refine(tempo, drifts) for tempo in tempi), key=lambda found: found[1])[0]

    def _refine(self, tempo: float, drifts: int) -> tuple[float, float]:
        """The tempo and its power."""
        tempi = tempo * (1.0 + FINE)
        at = tempi[:, None] * (HARMONICS / 60.0 / self.resolution)
        low = at.astype(np.int64)
        part = at - low
        # Cubic between four points of the periodogram: linear would prefer tempi between them.
        a, b, c, d = (self.power[:drifts, low + offset] for offset in (-1, 0, 1, 2))
        fine = b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)))
        total = fine.sum(axis=2)
        total[0] *= DRIFT_GAIN
        drift, best = divmod(int(np.argmax(total)), FINE.size)
        power = float(total[drift, best])
        if not 0 < best < FINE.size - 1:
            return float(tempi[best]), power
        offset = peak_offset(*total[drift, best - 1 : best + 2])
        return float(tempi[best] + offset * (tempi[1] - tempi[0])), power


@dataclass
class TempoMemory:
    """Running mean of the periodicity, longer than one update, so that fills and breaks are outvoted. After a tempo
    change the mean starts anew, so the new tempo is accepted soon."""

    _mean: Periodicity | None = None
    _looks: int = 0
    _against: int = 0

    def remember(self, found: Periodicity, held: float) -> Periodicity:
        """The mean of `found` and earlier estimates, except for `power`. held: the current tempo in BPM, between
        SLOWEST and `found.fastest`, 0 for none."""
        heard = found.scores()
        heard = heard * _prior()[: heard.size]
        against = held > 0.0 and np.interp(held, tempo_grid(found.fastest), heard) < AGAINST * heard.max()
        self._against = self._against + 1 if against else 0
        if self._mean is None or self._against > PATIENCE_LOOKS:
            self._looks = self._against = 0
            self._mean = found
        self._looks += 1
        share = 1.0 / min(self._looks, MEMORY_LOOKS)
        self._mean = replace(
            found,
            onsets=_towards(self._mean.onsets, found.onsets, share),
            drums=_towards(self._mean.drums, found.drums, share),
            strokes=self._mean.strokes + share * (found.strokes - self._mean.strokes),
        )
        return self._mean


def _towards(old: np.ndarray, new: np.ndarray, share: float) -> np.ndarray:
    """`old` moved a share of the way to `new`. Values beyond the length of `old` are taken as they are."""
    known = old[: new.size]
    return np.append(known + share * (new[: known.size] - known), new[known.size :])


def peak_offset(left: float, middle: float, right: float) -> float:
    """Position of the maximum of a parabola through three equal steps, -0.5 to 0.5."""
    bend = left - 2.0 * middle + right
    return min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < -1e-12 else 0.0


def periodicity(
    strength: np.ndarray, drums: np.ndarray, every: np.ndarray, fastest: float = FASTEST
) -> Periodicity | None:
    """What repeats; None if nothing does. All [hops], newest last.

    strength: onset strength, weighted as evidence for the beat. drums: kick and snare. every: all onsets. fastest: the
    fastest tempo to look for, BPM, LIMIT at most.
    """
    onsets = correlate(strength)
    if onsets is None:
        return None
    repeated = correlate(drums)
    drums = np.zeros_like(onsets) if repeated is None else repeated
    return Periodicity(_drifting_power(strength), onsets, drums, _strokes(every), fastest)


def _drifting_power(strength: np.ndarray) -> np.ndarray:
    """The power spectrum [DRIFTS, bins] of `strength` on a time scale on which a tempo with this drift is steady."""
    ages = np.arange(strength.size) * HOP_SECONDS
    centred = (strength - strength.mean())[::-1]
    # A tempo f (1 - drift * age) has completed f (age - drift / 2 * age**2) beats since.
    scaled = np.stack([np.interp(ages, ages * (1.0 - 0.5 * drift * ages), centred) for drift in DRIFTS])
    spectra = np.fft.rfft(scaled, _FRAMES)
    # Interpolation between hops has taken this share of the high harmonics.
    spectra[1:] /= np.sinc(np.arange(_FRAMES // 2 + 1) / _FRAMES) ** 2
    return np.asarray(np.square(spectra.real) + np.square(spectra.imag))


def correlate(strength: np.ndarray) -> np.ndarray | None:
    """Autocorrelation [hops + 1] by lag in hops, 1 at lag 0; None if nothing changes."""
    count = strength.size
    spectrum = np.fft.rfft(strength - strength.mean(), _FRAMES)
    correlation = np.fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag))[:count]
    if correlation[0] <= 1e-9:
        return None
    correlation /= correlation[0] * (1.0 - 0.9 / count * np.arange(count))
    return np.append(correlation, 0.0)


def _strokes(strength: np.ndarray) -> float:
    """Peaks per second of at least a fifth of the strongest one."""
    middle = strength[1:-1]
    peaks = (middle > strength[:-2]) & (middle >= strength[2:]) & (middle > 0.2 * np.quantile(strength, 0.98))
    return float(np.count_nonzero(peaks)) / (strength.size * HOP_SECONDS)


def best_tempo(scores: np.ndarray, near: float = 0.0) -> tuple[float, float]:
    """The most likely tempo in BPM and its periodicity.

    scores: of `comb_scores`. near: search within +- 6 % of this tempo, 0 = everywhere.
    """
    grid = tempo_grid(LIMIT)[: scores.size]
    weighted = scores * _prior()[: scores.size]
    if near:
        weighted = np.where(np.abs(grid / near - 1.0) <= 0.06, scores, -1.0)
    index = int(np.argmax(weighted))
    if 0 < index < grid.size - 1:
        return float(grid[index] * STEP ** peak_offset(*scores[index - 1 : index + 2])), float(scores[index])
    return float(grid[index]), float(scores[index])
