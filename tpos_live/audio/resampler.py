"""The resampler: any device rate to the analysis rate, with low latency."""

from __future__ import annotations

import numpy as np
import soxr

from tpos_live.audio.source import RATE


class Resampler:
    """A streaming resampler to 48 kHz; 48 kHz passes unchanged. One thread.

    soxr's higher qualities work in long blocks: at 44.1 kHz "HQ" gives its output in bursts 2 to 21 ms late; "LQ" is
    0.5 ms late at every call, flat to 15 kHz, with distortion below -110 dB. Above 48 kHz "LQ" works in blocks too (up
    to 10 ms); there the variable-rate filter is even (2.5 ms at 96 kHz, aliases below -120 dB). Offline (`live=False`)
    latency does not matter: "HQ".
    """

    def __init__(self, rate: float, live: bool = True) -> None:
        """rate: input samples per second, two channels."""
        self._stream = None
        if rate != RATE:
            quality = "LQ" if live else "HQ"
            self._stream = soxr.ResampleStream(rate, RATE, 2, dtype="float32", quality=quality, vr=live and rate > RATE)

    def push(self, stereo: np.ndarray, last: bool = False) -> np.ndarray:
        """float32 [m, 2] at 48 kHz that became ready through float32 [n, 2]; `last` flushes the rest."""
        if self._stream is None:
            return stereo
        out: np.ndarray = self._stream.resample_chunk(np.ascontiguousarray(stereo), last=last)
        return out
