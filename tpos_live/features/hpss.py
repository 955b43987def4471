"""Harmonic/percussive separation, causal.

Median filtering (Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010): a median along time
keeps sustained sound, a median along frequency keeps broadband sound. Here the median along time uses only the past, so
a new note counts as percussive for half of the filter's length (85 ms).
"""

from __future__ import annotations

import numpy as np

from tpos_live.features.onset import COMPRESSION
from tpos_live.features.spectrum import MELS, mel_slice

PAST = 17
"""Hops of the median along time."""
ACROSS = 25
"""Mel bands of the median along frequency."""
CHORD = mel_slice(40, 2500)
CHORD_DELAY = PAST // 2 + 1
"""Hops from a chord change to its detection."""
FORGET = 0.985
"""Decay per hop of the notes in memory, a time constant of 0.67 s."""
_SIDE = ACROSS // 2


class HarmonicPercussiveSeparator:
    """Splits mel power into a harmonic and a percussive share, which sum to 1. One step per hop."""

    def __init__(self) -> None:
        self._past = np.zeros((PAST, MELS), np.float32)
        self._padded = np.zeros(MELS + 2 * _SIDE, np.float32)
        self._windows = np.lib.stride_tricks.sliding_window_view(self._padded, ACROSS)
        self._known = np.zeros(CHORD.stop - CHORD.start, np.float32)
        self._hop = 0
        self.harmonic = 0.0
        """Harmonic share of the power, 0 to 1."""
        self.chord = 0.0
        """Strength of new notes, CHORD_DELAY hops ago: 0 or more."""

    def step(self, mel: np.ndarray, gain: float) -> float:
        """Take mel power [MELS]; `gain` in dB is applied first. Returns `harmonic`."""
        amplitude = np.sqrt(mel)
        self._past[self._hop % PAST] = amplitude
        self._hop += 1
        lasting = np.minimum(np.partition(self._past, PAST // 2, axis=0)[PAST // 2], amplitude)
        self._padded[_SIDE:-_SIDE] = amplitude
        broad = np.partition(self._windows, _SIDE, axis=1)[:, _SIDE]
        lasting_power, broad_power = np.square(lasting), np.square(broad)
        mask = lasting_power / (lasting_power + broad_power + 1e-12)
        whole = float(mel.sum())
        self.harmonic = float(np.dot(mask, mel)) / whole if whole > 1e-12 else 0.0
        notes = np.log10(1.0 + COMPRESSION * 10.0 ** (gain / 20.0) * (lasting * mask)[CHORD])
        self._known *= FORGET
        self.chord = float(np.maximum(notes - self._known, 0.0).mean())
        np.maximum(self._known, notes, out=self._known)
        return self.harmonic
