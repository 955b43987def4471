"""The mel front end, shared by training and the live session.

Settings: the power spectrum of `stft.py` (48 kHz, 2048 samples in its own window, hop 480, uncentred) without bins 0
and 1; 80 triangular filters of peak 1, equally spaced from 30 Hz to 16 kHz on the HTK mel scale 2595 log10(1 + f/700);
levels are 10 log10(max(power, 1e-10)), so the floor is -100 dB and a full-scale sine is about -3 dB. No normalisation
per clip: absolute loudness carries information.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.features.stft import BINS, FFT, LOWEST_BIN

MELS = 80
LOW_HZ = 30.0
HIGH_HZ = 16_000.0
FLOOR = 1e-10


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
