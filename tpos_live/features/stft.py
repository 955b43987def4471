"""The short-time spectrum that all analysis shares.

48 kHz mono, 2048 samples (42.7 ms), hop 480 (10 ms), no centring: the newest sample of a hop is the newest of its
window, so there is no look-ahead. The window rises as half a cosine over 1808 samples and falls over the newest 240 (5
ms); a Hann window would need 21 ms to show an attack. The weighted mean is subtracted first, which removes DC. A
kick's hit is found 10 to 12 ms after its attack instead of 20.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

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
