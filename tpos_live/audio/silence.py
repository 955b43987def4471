"""How long a source has been silent: its status shows it, and tells the user to check the input."""

from __future__ import annotations

import numpy as np

QUIET = 1e-4
"""-80 dBFS: quieter signals count as no sound."""


class SilenceMeter:
    """Times are perf_counter. The thread that pulls the sound feeds it; `silent_for` may be called from anywhere."""

    def __init__(self) -> None:
        self._loud_at: float | None = None

    def begin(self, now: float) -> None:
        """Count from `now` on, unless it counts already."""
        if self._loud_at is None:
            self._loud_at = now

    def restart(self, now: float) -> None:
        """Count from `now` on."""
        self._loud_at = now

    def add(self, stereo: np.ndarray, now: float) -> None:
        """Take a block of samples, float32 [n, 2], n at least 1."""
        if np.abs(stereo).max() > QUIET:
            self._loud_at = now

    def silent_for(self, now: float) -> float:
        """Seconds since the last sample above QUIET, or since the start of the count; 0 before that."""
        return 0.0 if self._loud_at is None else max(now - self._loud_at, 0.0)
