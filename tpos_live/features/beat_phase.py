"""The phase of the beat, from six seconds of onset strength that are folded at the length of a beat.

A smooth comb (the first harmonics of the beat) has a peak at each place of the beat that onsets fall on. The rules of
`downbeat.py` choose among these peaks; the comb gives the exact phase.
"""

from __future__ import annotations

import numpy as np

from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.tempo import peak_offset

DELAY_SECONDS = 0.005
"""Time from an onset to its flux maximum, the mean over drums; measured with `benchmarks/rhythm.py`."""
PHASE_HOPS = 600
"""Hops that are folded."""
HARMONICS = 6
PHASES = 128
"""Candidate phases of a beat."""
RULE_WEIGHT = 20.0
"""Weight of the bar rules against the comb."""


def _comb_kernel() -> np.ndarray:
    """complex [PHASES, HARMONICS]: the weight of each harmonic of the beat, at each phase."""
    harmonics = np.arange(1, HARMONICS + 1)
    phases = np.arange(PHASES) / PHASES
    return np.exp(-0.5 * (harmonics / 4.0) ** 2) * np.exp(2j * np.pi * phases[:, None] * harmonics)


_COMB = _comb_kernel()
_FULL = float(np.abs(_COMB[0]).sum())
_AGES = np.arange(PHASE_HOPS)[::-1].astype(np.float64)
_RECENT = np.exp(-_AGES / 300.0)


def find_phase(strength: np.ndarray, period: float, bar: np.ndarray) -> tuple[float, float]:
    """The phase now, at least 0 (it may exceed 1), and the contrast of the beat, 0 to 1.

    strength: [hops], newest last. period: seconds per beat. bar: score of each bar position for being the current one,
    from `downbeat.py::positions`.
    """
    comb = _comb(strength, period)
    rules = bar.reshape(BEATS_PER_BAR, -1).max(axis=0)
    rules = np.interp(np.arange(PHASES) / PHASES * rules.size, np.arange(rules.size + 1), [*rules, rules[0]])
    rules = np.roll(rules, -round(DELAY_SECONDS / period * PHASES))
    best = int(np.argmax(comb / max(float(comb.max()), 1e-9) + RULE_WEIGHT * rules))
    near = (best + np.arange(-4, 5)) % PHASES
    best = int(near[np.argmax(comb[near])])
    offset = peak_offset(comb[best - 1], comb[best], comb[(best + 1) % PHASES])
    return (best + offset) / PHASES + DELAY_SECONDS / period, min(max(float(comb[best]) / _FULL, 0.0), 1.0)


def _comb(strength: np.ndarray, period: float) -> np.ndarray:
    """Onset strength at each candidate phase of the present, float64 [PHASES]."""
    count = min(strength.size, PHASE_HOPS)
    weighed = strength[-count:] * _RECENT[-count:]
    wave = np.exp(-2j * np.pi * _AGES[-count:] * (HOP_SECONDS / period))
    fold = np.empty(HARMONICS, np.complex128)
    power = np.ones_like(wave)
    for index in range(HARMONICS):
        power = power * wave
        fold[index] = np.dot(power, weighed)
    return np.asarray((_COMB @ fold).real / max(float(weighed.sum()), 1e-12))
