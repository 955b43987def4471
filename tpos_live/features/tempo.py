"""Tempo: the beat interval, from the last ten seconds of onset strength and the mean of earlier estimates.

Three steps. The metre: a tempo's score is the mean autocorrelation at one to eight beat periods (a comb, as in
Scheirer, "Tempo and beat analysis of acoustic musical signals", JASA 1998), where a bar and two bars count more, times
a log-normal prior (as in Ellis, "Beat tracking by dynamic programming", JNMR 2007). The octave: people perceive a tempo
between about 80 and 160 BPM; at the edges of that octave the number of onsets per beat decides, and whether the drums
repeat after one beat but not after half a beat. The exact value: the maximum of the periodogram's power at the
harmonics of the beat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from tpos_live.features.features import HOP_SECONDS

SLOWEST, FASTEST, LIMIT = 60.0, 180.0, 240.0
"""BPM. The fastest tempo that is followed is a parameter: by default FASTEST, at most LIMIT."""
PRIOR_BPM = 113.0
PRIOR_OCTAVES = 1.6
"""Mean and deviation of the prior. With 0.9 octaves, some tempi near PRIOR_BPM won in the ratio of 4 to 3 or 2 to 3."""
COMFORT_OCTAVES = 0.42
"""Tempi within this distance of PRIOR_BPM (84 to 151 BPM) are equally likely."""
DISCOMFORT = 4.0
"""Penalty per octave beyond that distance."""
STROKES_PER_BEAT = 2.2
STROKE_OCTAVES = 0.8
"""Mean and deviation (in octaves) of the onsets per beat at a perceived tempo."""
REPEAT_WEIGHT = 0.7
LOYALTY = 0.1
"""Bonus of the current octave."""
MEMORY_UPDATES = 80.0
"""Updates (four per second) over which the periodicity is averaged: ten seconds may be a fill or a break."""
AGAINST = 0.6
"""Share of the best score below which an update contradicts the current tempo."""
PATIENCE_UPDATES = 8
"""After this many contradicting updates in a row, earlier estimates are dropped."""
STEP = 1.0025
MULTIPLES = np.array([1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 3.0])
"""Weights of one to eight beat periods. Music in 4/4 repeats after a bar and after two; at 4/3 or 2/3 of the true tempo
four periods are no bar."""
HARMONICS = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0])
"""Multiples of the beat frequency."""
FINE = np.linspace(-0.006, 0.006, 25)
DRIFTS = np.array([0.0, -0.002, -0.001, 0.001, 0.002])
"""Candidate relative changes of the tempo per second: a DJ who goes from 124 to 132 BPM in a minute makes 0.001."""
DRIFT_GAIN = 1.02
"""Factor of power in favour of a steady tempo: without it, noise in the onsets would look like drift."""
_FRAMES = 4096


def tempo_grid(fastest: float = FASTEST) -> np.ndarray:
    """The candidate tempi in BPM up to `fastest`, float64 [n], 0.25 % apart. A lower limit shortens the same grid."""
    return _whole_grid()[: int(np.log(fastest / SLOWEST) / np.log(STEP)) + 1]


@cache
def _whole_grid() -> np.ndarray:
    return SLOWEST * STEP ** np.arange(int(np.log(LIMIT / SLOWEST) / np.log(STEP)) + 1)


@cache
def _lags() -> tuple[np.ndarray, np.ndarray]:
    """Whole part and fraction of the lags in hops up to LIMIT, [n, multiples]."""
    lags = (60.0 / tempo_grid(LIMIT) / HOP_SECONDS)[:, None] * np.arange(1, MULTIPLES.size + 1)
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
    weights = MULTIPLES * (whole < 0.75 * count)
    at = np.minimum(whole, count - 1)
    score = onsets[at] * (1.0 - part) + onsets[at + 1] * part
    return np.asarray((score * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0))


@dataclass(frozen=True)
class Periodicity:
    """Periodicity of the last ten seconds. power: periodogram of the onset strength [drifts, bins], at multiples of
    `resolution` Hz, for each of DRIFTS. onsets, drums: autocorrelation by lag in hops, 1 at lag 0. strokes: onsets per
    second. fastest: the fastest tempo, BPM."""

    power: np.ndarray
    onsets: np.ndarray
    drums: np.ndarray
    strokes: float
    fastest: float = FASTEST

    resolution = 1.0 / (_FRAMES * HOP_SECONDS)

    def octave(self, tempo: float, held: float = 0.0) -> float:
        """`tempo`, its half or its double, whichever people perceive as the beat. held: the current tempo in BPM, 0 for
        none."""
        choices = [t for t in (0.5 * tempo, tempo, 2.0 * tempo) if SLOWEST <= t <= self.fastest]
        return max(choices, key=lambda t: self._octave_score(t) + LOYALTY * (abs(t - held) < 0.03 * t), default=tempo)

    def _octave_score(self, tempo: float) -> float:
        """Score of `tempo` as the perceived one."""
        far = max(abs(float(np.log2(tempo / PRIOR_BPM))) - COMFORT_OCTAVES, 0.0)
        if self.fastest > FASTEST and tempo > PRIOR_BPM:
            far = 0.0  # the user has allowed fast tempi
        strokes = max(self.strokes, 0.1) * 60.0 / tempo
        crowd = float(np.log2(strokes / STROKES_PER_BEAT)) / STROKE_OCTAVES
        period = 60.0 / tempo / HOP_SECONDS
        lags = np.arange(self.drums.size)
        beat, half = np.interp((period, 0.5 * period), lags, self.drums)
        return float(REPEAT_WEIGHT * max(beat - half, 0.0) - DISCOMFORT * far - crowd * crowd)

    def refine(self, *tempi: float, drifting: bool = True) -> float:
        """The tempo in BPM near one of `tempi` with the most power at its harmonics. drifting: also try DRIFTS; the
        result is then the newest value."""
        drifts = len(DRIFTS) if drifting else 1
        return max((self._refine(tempo, drifts) for tempo in tempi), key=lambda refined: refined[1])[0]

    def _refine(self, tempo: float, drifts: int) -> tuple[float, float]:
        """The tempo in BPM near `tempo`, and its power."""
        tempi = tempo * (1.0 + FINE)
        at = tempi[:, None] * (HARMONICS / 60.0 / self.resolution)
        low = at.astype(np.int64)
        part = at - low
        # Cubic interpolation of the periodogram: linear interpolation is biased.
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
    """Running mean of the periodicity over 20 s, so that a fill or a break does not change the tempo. After a tempo
    change the mean restarts, so the new tempo is accepted soon."""

    _mean: Periodicity | None = None
    _updates: int = 0
    _against: int = 0

    def remember(self, new: Periodicity, held: float) -> Periodicity:
        """The mean of `new` and earlier estimates, with the `power` of `new`. held: the current tempo in BPM, between
        SLOWEST and `new.fastest`, 0 for none."""
        scores = comb_scores(new.onsets, new.fastest)
        scores *= _prior()[: scores.size]
        against = held > 0.0 and np.interp(held, tempo_grid(new.fastest), scores) < AGAINST * scores.max()
        self._against = self._against + 1 if against else 0
        if self._mean is None or self._against > PATIENCE_UPDATES:
            self._updates = self._against = 0
            self._mean = new
        self._updates += 1
        share = 1.0 / min(self._updates, MEMORY_UPDATES)
        self._mean = replace(
            new,
            onsets=_interpolated(self._mean.onsets, new.onsets, share),
            drums=_interpolated(self._mean.drums, new.drums, share),
            strokes=self._mean.strokes + share * (new.strokes - self._mean.strokes),
        )
        return self._mean


def _interpolated(old: np.ndarray, new: np.ndarray, share: float) -> np.ndarray:
    """`old + share * (new - old)`; values beyond the length of `old` are those of `new`."""
    known = old[: new.size]
    return np.append(known + share * (new[: known.size] - known), new[known.size :])


def peak_offset(left: float, middle: float, right: float) -> float:
    """Position of the maximum of a parabola through three equal steps, -0.5 to 0.5."""
    bend = left - 2.0 * middle + right
    return min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < -1e-12 else 0.0


def periodicity(
    strength: np.ndarray, drums: np.ndarray, every: np.ndarray, fastest: float = FASTEST
) -> Periodicity | None:
    """The periodicity of onsets; None if they are constant. All arrays are [hops], newest last.

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
    """Periodograms [DRIFTS, bins] of `strength`, each on a warped time scale that makes a tempo with that drift
    steady."""
    ages = np.arange(strength.size) * HOP_SECONDS
    centred = (strength - strength.mean())[::-1]
    # At the tempo f (1 - drift * age), f (age - drift / 2 * age**2) beats have passed since that age.
    scaled = np.stack([np.interp(ages, ages * (1.0 - 0.5 * drift * ages), centred) for drift in DRIFTS])
    spectra = np.fft.rfft(scaled, _FRAMES)
    # Compensates the loss of high harmonics by linear interpolation between hops.
    spectra[1:] /= np.sinc(np.arange(_FRAMES // 2 + 1) / _FRAMES) ** 2
    return np.asarray(np.square(spectra.real) + np.square(spectra.imag))


def correlate(strength: np.ndarray) -> np.ndarray | None:
    """Autocorrelation [hops + 1] by lag in hops, 1 at lag 0; None if `strength` is constant."""
    count = strength.size
    spectrum = np.fft.rfft(strength - strength.mean(), _FRAMES)
    correlation = np.fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag))[:count]
    if correlation[0] <= 1e-9:
        return None
    correlation /= correlation[0] * (1.0 - 0.9 / count * np.arange(count))
    return np.append(correlation, 0.0)


def _strokes(strength: np.ndarray) -> float:
    """Peaks per second of at least a fifth of the strongest peaks (the 98th percentile)."""
    middle = strength[1:-1]
    peaks = (middle > strength[:-2]) & (middle >= strength[2:]) & (middle > 0.2 * np.quantile(strength, 0.98))
    return float(np.count_nonzero(peaks)) / (strength.size * HOP_SECONDS)


def best_tempo(scores: np.ndarray, near: float = 0.0) -> tuple[float, float]:
    """The most likely tempo in BPM and its periodicity.

    scores: from `comb_scores`. near: search within +- 6 % of this tempo in BPM, 0 = everywhere.
    """
    grid = tempo_grid(LIMIT)[: scores.size]
    weighted = scores * _prior()[: scores.size]
    if near:
        weighted = np.where(np.abs(grid / near - 1.0) <= 0.06, scores, -1.0)
    index = int(np.argmax(weighted))
    if 0 < index < grid.size - 1:
        return float(grid[index] * STEP ** peak_offset(*scores[index - 1 : index + 2])), float(scores[index])
    return float(grid[index]), float(scores[index])
