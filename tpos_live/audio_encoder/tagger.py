"""The tagger: labels the current sound in one or two words, for the status."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from tpos_live.audio_encoder.kinds import KindTracker
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.core.envelope import share

SMOOTH = 0.5
"""Time constant in seconds for the label scores."""
HOLD = 1.0
"""Shortest time in seconds for which a label is shown."""
QUIET = 0.05
"""Density below which there is no label."""


@runtime_checkable
class LabelScorer(Protocol):
    """An encoder that scores the labels of sounds."""

    labels: Sequence[str]

    def label_scores(self, vector: np.ndarray) -> np.ndarray:
        """Score of each of `labels`, float [n], for the vector of an embedding; only their order matters."""
        ...


class Tagger:
    """Takes the embeddings in order, and names the sound. Belongs to one thread; depends on the audio's clock alone."""

    def __init__(self, encoder: object) -> None:
        self._encoder = encoder if isinstance(encoder, LabelScorer) and encoder.labels else None
        self._kinds = KindTracker(encoder)
        self._scores: np.ndarray | None = None
        self._now = self._since = -math.inf
        self.name = ""
        """The newest label; "" in silence, and for an encoder without labels."""

    def follow(self, embedding: AudioEmbedding) -> str:
        """Take the next embedding; returns `name`."""
        if self._encoder is None:
            return ""
        if embedding.density < QUIET or not np.any(embedding.vector):
            self._scores, self.name = None, ""
            self._kinds.forget()
            return ""
        label_scores = self._encoder.label_scores(embedding.vector)
        if self._scores is None or not np.isfinite(self._scores).all():
            self._scores, self._since = np.array(label_scores, np.float64), embedding.time
        else:
            self._scores += (label_scores - self._scores) * share(SMOOTH, max(embedding.time - self._now, 0.0))
        self._now = embedding.time
        best = self._kinds.follow(embedding) or self._encoder.labels[int(self._scores.argmax())]
        # The first moments of a sound are ambiguous.
        if best != self.name and embedding.time - self._since >= (HOLD if self.name else SMOOTH):
            self.name, self._since = best, embedding.time
        return self.name
