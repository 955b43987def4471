"""The short-time spectrum that all analysis shares, in bins and in mel bands, in training as in a live session.

48 kHz mono, 2048 samples (42.7 ms), hop 480 (10 ms), no centring: the newest sample of a hop is the newest of its
window, so there is no look-ahead. The window rises as half a cosine over 1808 samples and falls over the newest 240 (5
ms); a Hann window would need 21 ms to show an attack. The weighted mean is subtracted first, which removes DC. A
kick's hit is found 10 to 12 ms after its attack instead of 20.

Mel bands: 80 triangular filters of peak 1 without bins 0 and 1, equally spaced from 30 Hz to 16 kHz on the HTK mel
scale 2595 log10(1 + f/700). Levels are 10 log10(max(power, 1e-10)), so the floor is -100 dB and a full-scale sine is
about -3 dB. No normalisation per clip: absolute loudness carries information.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.features.features import HOP

FFT = 2048
BINS = FFT // 2 + 1
LOWEST_BIN = 2
"""Lower bins are ignored: the window holds less than one period of them."""
FALL = 240
"""Samples over which the window falls."""
FULL = 4.0
"""Samples are limited to this value (12 dB above full scale)."""
MELS, GROUPS = 80, 16
"""Mel bands, and groups of five of them; the first group is the bass, 30 to 200 Hz."""
LOW_HZ = 30.0
HIGH_HZ = 16_000.0
FLOOR = 1e-10
"""Lowest power of a mel band, -100 dB."""


def decibels(power: float) -> float:
    """10 log10(power), at least -120."""
    return 10.0 * math.log10(max(power, 1e-12))


def frequency_bin(hertz: float) -> int:
    """The first bin at or above `hertz`, never below LOWEST_BIN."""
    return max(LOWEST_BIN, int(np.ceil(hertz * FFT / RATE)))


def clean(mono: np.ndarray) -> np.ndarray:
    """float32 [n] from any array: NaN and infinities become 0, other values are limited to +-FULL."""
    samples = np.asarray(mono, dtype=np.float32).reshape(-1)
    limited = np.clip(samples, -FULL, FULL)
    limited[~np.isfinite(samples)] = 0.0
    return limited


def make_window() -> np.ndarray:
    """float64 [FFT]: half a cosine up over FFT - FALL samples, half a cosine down over FALL."""
    up = (np.arange(FFT - FALL) + 0.5) / (FFT - FALL)
    down = (np.arange(FALL) + 0.5) / FALL
    return np.concatenate([0.5 - 0.5 * np.cos(np.pi * up), 0.5 + 0.5 * np.cos(np.pi * down)])


class ShortTimeSpectrum:
    """Cuts audio of any block size into hops, and computes the power spectrum at the end of each."""

    def __init__(self) -> None:
        window = make_window()
        self._window = window.astype(np.float32)
        self._mean = (window / window.sum()).astype(np.float32)
        self._scale = np.float32(2.0 / (FFT * np.sum(window**2)))
        self._frame = np.empty(FFT, np.float32)
        self._buffer = np.zeros(FFT - HOP, np.float32)

    def push(self, mono: np.ndarray) -> Iterator[np.ndarray]:
        """Take float32 [n], any n; yields a power spectrum float32 [BINS] per completed hop.

        The powers sum to the mean square of the windowed signal. The caller must consume all spectra.
        """
        self._buffer = np.concatenate([self._buffer, clean(mono)])
        while self._buffer.size >= FFT:
            self._frame[:] = self._buffer[:FFT]
            self._frame -= np.dot(self._frame, self._mean)
            self._frame *= self._window
            self._buffer = self._buffer[HOP:]
            spectrum = np.fft.rfft(self._frame)
            power = np.square(spectrum.real)
            power += np.square(spectrum.imag)
            power *= self._scale
            yield power


def _mel(hertz: float) -> float:
    return 2595.0 * float(np.log10(1.0 + hertz / 700.0))


@cache
def mel_centres() -> np.ndarray:
    """Corner and centre frequencies in Hz, float64 [MELS + 2]; filter i peaks at [i + 1]."""
    mels = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), MELS + 2)
    return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)


@cache
def mel_matrix() -> np.ndarray:
    """float32 [MELS, BINS]: mel power = mel_matrix() @ power."""
    corners = mel_centres()[:, None]
    bins = np.arange(BINS)[None, :] * RATE / FFT
    rise = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    fall = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    matrix = np.clip(np.minimum(rise, fall), 0.0, None)
    matrix[:, :LOWEST_BIN] = 0.0
    return matrix.astype(np.float32)


def mel_power(power: np.ndarray) -> np.ndarray:
    """float32 [MELS] from a power spectrum float32 [BINS]."""
    return mel_matrix() @ power


def mel_db(mel: np.ndarray) -> np.ndarray:
    """Mel power in dB, at least -100."""
    return 10.0 * np.log10(np.maximum(mel, FLOOR))


def mel_slice(low: float, high: float) -> slice:
    """The filters with centres from `low` to `high` Hz."""
    centres = mel_centres()[1:-1]
    first, last = np.searchsorted(centres, (low, high))
    return slice(int(first), max(int(last), int(first) + 1))
