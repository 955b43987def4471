"""What is heard, in a word or two, for the person who performs: so it is seen that the sound is understood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from tpos_live.audio_encoder.base import Meaning

SMOOTH = 0.5
"""Seconds in which a name that has become likelier is believed."""
HOLD = 1.0
"""Seconds that a name stays at least: it has to be read in the dark."""
QUIET = 0.05
"""Magnitude below which nothing is heard."""


@runtime_checkable
class KnowsSounds(Protocol):
    """An encoder that knows what sounds are called."""

    sounds: Sequence[str]

    def likely(self, vector: np.ndarray) -> np.ndarray:
        """How likely each of `sounds` is, float [n], for the vector of a meaning; only their order counts."""
        ...


class Naming:
    """Follows meanings and names them. Belongs to one thread; depends on the clock of the sound alone."""

    def __init__(self, encoder: object) -> None:
        self._encoder = encoder if isinstance(encoder, KnowsSounds) and encoder.sounds else None
        self._scores: np.ndarray | None = None
        self._now = self._since = -math.inf
        self.name = ""
        """The newest name; "" in silence, and for an encoder that knows none."""

    def follow(self, meaning: Meaning) -> str:
        """Take the next meaning; gives `name`."""
        if self._encoder is None:
            return ""
        if meaning.magnitude < QUIET or not np.any(meaning.vector):
            self._scores, self.name = None, ""
            return ""
        likely = self._encoder.likely(meaning.vector)
        if self._scores is None or not np.isfinite(self._scores).all():
            self._scores, self._since = np.array(likely, np.float64), meaning.time
        else:
            self._scores += (likely - self._scores) * -math.expm1(-max(meaning.time - self._now, 0.0) / SMOOTH)
        self._now = meaning.time
        best = self._encoder.sounds[int(self._scores.argmax())]
        # The first moments of a sound could be anything.
        if best != self.name and meaning.time - self._since >= (HOLD if self.name else SMOOTH):
            self.name, self._since = best, meaning.time
        return self.name
