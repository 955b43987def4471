"""What is heard, in a word or two, for the person who performs: so it is seen that the sound is understood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from tpos_live.audio_encoder.protocol import AudioEmbedding

SMOOTH = 0.5
"""Seconds in which a name that has become likelier is believed."""
HOLD = 1.0
"""Seconds that a name stays at least: it has to be read in the dark."""
QUIET = 0.05
"""Magnitude below which nothing is heard."""


@runtime_checkable
class LabelScorer(Protocol):
    """An encoder that knows what sounds are called."""

    labels: Sequence[str]

    def label_scores(self, vector: np.ndarray) -> np.ndarray:
        """How likely each of `labels` is, float [n], for the vector of a meaning; only their order counts."""
        ...


class Tagger:
    """Follows meanings and names them. Belongs to one thread; depends on the clock of the sound alone."""

    def __init__(self, encoder: object) -> None:
        self._encoder = encoder if isinstance(encoder, LabelScorer) and encoder.labels else None
        self._scores: np.ndarray | None = None
        self._now = self._since = -math.inf
        self.name = ""
        """The newest name; "" in silence, and for an encoder that knows none."""

    def follow(self, embedding: AudioEmbedding) -> str:
        """Take the next meaning; gives `name`."""
        if self._encoder is None:
            return ""
        if embedding.density < QUIET or not np.any(embedding.vector):
            self._scores, self.name = None, ""
            return ""
        label_scores = self._encoder.label_scores(embedding.vector)
        if self._scores is None or not np.isfinite(self._scores).all():
            self._scores, self._since = np.array(label_scores, np.float64), embedding.time
        else:
            self._scores += (label_scores - self._scores) * -math.expm1(-max(embedding.time - self._now, 0.0) / SMOOTH)
        self._now = embedding.time
        best = self._encoder.labels[int(self._scores.argmax())]
        # The first moments of a sound could be anything.
        if best != self.name and embedding.time - self._since >= (HOLD if self.name else SMOOTH):
            self.name, self._since = best, embedding.time
        return self.name
