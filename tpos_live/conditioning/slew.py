"""Meaning moves slowly: the picture's mood follows the sound's with a time constant, never at a jump."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tpos_live.analysis.encoder import Meaning
from tpos_live.analysis.envelope import share

SLEW_SECONDS = 2.0
"""A change of meaning is made in this time (three time constants)."""


@dataclass
class Slew:
    """Follows meanings of any encoder; feed it every one, in order.

    Works on vector times magnitude, so that a meaning fades in from silence and out into it, and turns
    through the mixture of the two when one follows another.
    """

    _now: np.ndarray | None = None
    _time: float = 0.0

    def step(self, meaning: Meaning) -> Meaning:
        """The slewed meaning at `meaning.time`."""
        goal = meaning.vector * np.float32(meaning.magnitude)
        if self._now is None or self._now.shape != goal.shape or meaning.time < self._time:
            self._now = np.zeros_like(goal)
            self._time = meaning.time
        self._now = self._now + (goal - self._now) * np.float32(
            share(SLEW_SECONDS / 3.0, max(meaning.time - self._time, 0.0))
        )
        self._time = meaning.time
        size = float(np.linalg.norm(self._now))
        vector = self._now / np.float32(size) if size > 1e-6 else np.zeros_like(goal)
        return Meaning(meaning.time, vector, min(size, 1.0))
