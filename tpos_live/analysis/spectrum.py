"""The one short-time spectrum that everything that listens shares.

Settings: 48 kHz mono, Hann window (periodic) of 2048 samples = 42.7 ms, hop 480 = 10 ms, no centring: the
newest sample of a hop is the newest sample of its window, so nothing waits for the future. A click is
10 dB below its full height within 9 ms of its arrival, which is what keeps onsets under 20 ms.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tpos_live.analysis.features import HOP
from tpos_live.sound.source import RATE

FFT = 2048
BINS = FFT // 2 + 1
LOWEST_BIN = 2
"""The Hann window spreads a constant (DC) over bins 0 and 1 exactly; bins from here on never see it."""
FULL = 4.0
"""Samples are limited to this (12 dB above full scale): floats may exceed 1, nonsense may not pass."""


def frequency_bin(hertz: float) -> int:
    """The first bin at or above `hertz`, never one that DC reaches."""
    return max(LOWEST_BIN, int(np.ceil(hertz * FFT / RATE)))


def clean(mono: np.ndarray) -> np.ndarray:
    """float32 [n] from any array: NaN and infinities become silence, the rest is limited to +-FULL."""
    samples = np.asarray(mono, dtype=np.float32).reshape(-1)
    limited = np.clip(samples, -FULL, FULL)
    limited[~np.isfinite(samples)] = 0.0
    return limited


class Spectrum:
    """Cuts sound of any block size into hops and gives the power spectrum at the end of each."""

    def __init__(self) -> None:
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FFT) / FFT)
        self._window = window.astype(np.float32)
        self._scale = np.float32(2.0 / (FFT * np.sum(window**2)))
        self._frame = np.empty(FFT, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget all that was heard, as if silence had come before."""
        self._buffer = np.zeros(FFT - HOP, np.float32)

    def push(self, mono: np.ndarray) -> Iterator[np.ndarray]:
        """Hear float32 [n], any n; gives a power spectrum float32 [BINS] for each hop that is complete.

        The powers sum to the mean square of the windowed sound. What a caller does not draw stays due.
        """
        self._buffer = np.concatenate([self._buffer, clean(mono)])
        return self._hops()

    def _hops(self) -> Iterator[np.ndarray]:
        while self._buffer.size >= FFT:
            np.multiply(self._buffer[:FFT], self._window, out=self._frame)
            self._buffer = self._buffer[HOP:]
            spectrum = np.fft.rfft(self._frame)
            power = np.square(spectrum.real)
            power += np.square(spectrum.imag)
            power *= self._scale
            yield power
