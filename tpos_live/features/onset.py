"""Onsets: spectral flux with a maximum filter, the flux of drums, and peak pickers that find hits in both.

The flux follows SuperFlux (Boeck & Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013): the
rise of log mel magnitude over two hops against the largest of three neighbours, so a gliding tone is no onset. The peak
picker is causal: it fires in the hop in which the flux exceeds a threshold, which follows the recent mean and the
strongest recent hit, and then waits for a minimum interval.

Kick, snare and hi-hats are separated by the spectral range of an onset. A kick rises below 120 Hz and, with its attack,
up to 400 Hz; a bass note has no such attack, and a snare little energy below 120 Hz. The sound of the last MASK_HOPS
masks a kick, as in hearing (forward masking: Zwicker and Fastl, "Psychoacoustics"): deep tones that beat with each
other rise several times per second without an onset. A snare rises from its body at 150 Hz to its noise at 6 kHz; a
kick's click has little noise, and a hi-hat no body. Hi-hats rise most above 6 kHz. The leakage of one drum into another
range is subtracted in proportion. A drum needs all of its ranges (geometric mean).
The proportions were measured on two synthetic drum kits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tpos_live.core.envelope import share
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.spectrum import MELS, mel_slice

COMPRESSION = 300.0
"""Magnitude is log10(1 + COMPRESSION * amplitude): levels from 50 dB below full scale count."""
FINE_COMPRESSION = 3000.0
"""For `OnsetStrength`: a stronger compression, so that soft onsets between loud ones count too."""
NOISE_FLUX = 0.04
"""Flux that steady noise, white or pink, exceeds in 1 % of hops."""
FULL_STROKE = 0.35
"""Flux for an onset strength of 1: a rise of 7 dB in all bands, the loudest drum hits in most music."""
HIT_DECAY_SECONDS = 0.05
PEAK_SECONDS = 12.0

RANGES = {
    "bass": mel_slice(20, 250),
    "mid": mel_slice(250, 2000),
    "midhigh": mel_slice(2000, 6000),
    "high": mel_slice(6000, 16_000),
}

DRUM_COMPRESSION = 20.0
"""For `DrumDetector`: a weak compression, because drums are stronger than notes."""
_DRUM_EDGES = ((20, 120), (150, 400), (1200, 2500), (2500, 6000), (6000, 16_000))
_DRUM_RANGES = tuple(mel_slice(low, high) for low, high in _DRUM_EDGES)
BODY_IN_KICK = 0.5
"""Share of a snare's body below 120 Hz."""
HATS_IN_NOISE = (0.08, 0.25)
"""Share of the hi-hat strength at 1.2 to 2.5 kHz and at 2.5 to 6 kHz."""
NOISE_IN_HATS = 1.4
"""A snare's noise above 6 kHz, relative to 2.5 to 6 kHz."""
MASK_HOPS, MASK_FALL = 8, 1.5
"""Hops for which earlier sound masks a kick, and the decay of the mask in units of magnitude per second. In 17 pieces
the mask removes a third of the detected kicks, and none on the eighth notes of the beat (docs/accuracy.md)."""
_KICK = slice(_DRUM_RANGES[0].start, _DRUM_RANGES[1].stop)
_FALLEN = MASK_FALL * HOP_SECONDS * np.arange(MASK_HOPS - 1, dtype=np.float32)[:, None]


class Flux:
    """Rise of the spectrum, per range and in total. One step per hop."""

    def __init__(self, compression: float = COMPRESSION) -> None:
        self._compression = compression
        self._past = np.zeros((2, MELS + 2), np.float32)
        self._hop = 0

    def step(self, mel: np.ndarray, gain: float) -> dict[str, float]:
        """Mean flux by range, and "all", from mel power [MELS]; `gain` in dB is applied first."""
        rise = self.rise(mel, gain)
        flux = {name: float(rise[where].mean()) for name, where in RANGES.items()}
        flux["all"] = float(rise.mean())
        return flux

    def rise(self, mel: np.ndarray, gain: float) -> np.ndarray:
        """Flux per mel band [MELS], 0 or more. Call this or `step`, once per hop."""
        amplitude = 10.0 ** (gain / 20.0) * np.sqrt(mel)
        now = np.log10(1.0 + self._compression * amplitude)
        past = self._past[self._hop % 2]
        before = np.maximum(np.maximum(past[:-2], past[1:-1]), past[2:])
        rise = np.maximum(now - before, 0.0)
        past[1:-1] = now
        self._hop += 1
        return np.asarray(rise)


@dataclass(frozen=True, slots=True)
class DrumFlux:
    """Rise of each drum in this hop, 0 or more."""

    kick: float = 0.0
    snare: float = 0.0
    hats: float = 0.0


class DrumDetector:
    """Gives the rise of each drum over two hops; that of a kick above the masking level. One step per hop."""

    def __init__(self) -> None:
        self._past = np.zeros((MASK_HOPS, MELS), np.float32)
        """Magnitude of the last hops, the newest first."""

    def step(self, mel: np.ndarray, gain: float) -> DrumFlux:
        """Take mel power [MELS]; `gain` in dB is applied first."""
        now = np.log10(1.0 + DRUM_COMPRESSION * 10.0 ** (gain / 20.0) * np.sqrt(mel))
        rise = np.maximum(now - self._past[1], 0.0)
        masked = (self._past[1:, _KICK] - _FALLEN).max(axis=0)
        struck = np.zeros_like(rise)
        struck[_KICK] = np.maximum(now[_KICK] - masked, 0.0)
        self._past[1:] = self._past[:-1]
        self._past[0] = now
        low, attack = (_mean(struck, where) for where in _DRUM_RANGES[:2])
        body, middle, noise, air = (_mean(rise, where) for where in _DRUM_RANGES[1:])
        deep = max(low - BODY_IN_KICK * attack, 0.0)
        middle = max(middle - HATS_IN_NOISE[0] * air, 0.0)
        rattle = max(noise - HATS_IN_NOISE[1] * air, 0.0)
        return DrumFlux(
            kick=(deep * attack) ** 0.5,
            snare=(body * middle * rattle) ** (1.0 / 3.0),
            hats=max(air - NOISE_IN_HATS * noise, 0.0),
        )


def _mean(rise: np.ndarray, where: slice) -> float:
    return float(rise[where].sum()) / (where.stop - where.start)


@dataclass
class PeakPicker:
    """Finds hits in one flux; `hit` jumps to the strength of a hit (0 to 1) and decays in 50 ms.

    The strength is the square root of the flux relative to the strongest recent flux: equal drum hits over different
    notes differ by half in flux.

    least: smallest flux of a hit. share_of_peak: smallest flux of a hit relative to the strongest recent one; rejects
    leakage of other drums. rest: shortest time between two hits, seconds. fired: a hit began in this hop.
    """

    least: float = 0.1
    share_of_peak: float = 0.4
    rest: float = 0.08
    hit: float = 0.0
    fired: bool = False
    _mean: float = 0.0
    _peak: float = 0.0
    _since_hit: float = math.inf
    _last_flux: float = 0.0
    _strength: float = 0.0

    def step(self, flux: float, listening: bool) -> float:
        """Take the flux of one hop; returns `hit`. Hits begin only while `listening`, that is, while the gate is
        open."""
        self._since_hit += HOP_SECONDS
        threshold = max(self.least, 2.0 * self._mean, self.share_of_peak * self._peak)
        self.fired = listening and flux > threshold and flux > self._last_flux and self._since_hit >= self.rest
        self._peak = max(self._peak * (1.0 - share(PEAK_SECONDS, HOP_SECONDS)), flux if listening else 0.0)
        self._mean += (flux - self._mean) * share(0.4, HOP_SECONDS)
        self._last_flux = flux
        self.hit *= 1.0 - share(HIT_DECAY_SECONDS, HOP_SECONDS)
        if self.fired:
            self._since_hit, self._strength = 0.0, 0.0
        if self._since_hit < _GROWTH_SECONDS:
            self._strength = max(self._strength, math.sqrt(min(flux / max(self._peak, self.least), 1.0)))
            self.hit = max(self.hit, self._strength)
        return self.hit


_GROWTH_SECONDS = 0.025
"""The flux still rises when a hit is found, so its strength may grow for two more hops."""


class OnsetStrength:
    """Onset strength of each hop, 0 to 1, without thresholds or memory.

    A PeakPicker finds hits, but measures their strength poorly. This is the mean rise over all mel bands, scaled from
    NOISE_FLUX (0) to FULL_STROKE (1). One step per hop.
    """

    def __init__(self) -> None:
        self._flux = Flux(FINE_COMPRESSION)

    def step(self, mel: np.ndarray, gain: float, listening: bool) -> float:
        """Take mel power [MELS]; `gain` in dB is applied first. Returns 0 unless `listening`."""
        flux = float(self._flux.rise(mel, gain).mean())
        return min(max(flux - NOISE_FLUX, 0.0) / (FULL_STROKE - NOISE_FLUX), 1.0) if listening else 0.0
