"""The kind of music, read from the mean of the audio embeddings by linear discriminants.

The embedding of music lies between the texts of its kind, its moods and its timbre, so the nearest text is often a
general one ("music", "noise", "calm"). Still the kind can be read from it: `training/audio_model/kind_head.py` learns
the directions that separate the kinds from each other, and music from other sounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.core.envelope import share

MEAN_SECONDS = 5.0
"""Time constant of the mean of the embeddings; that of the encoder's own memory is 6.7 s."""
FIRST_SECONDS = 3.0
"""Seconds of sound before the first kind is named, because the encoder's memory is still filling."""
LEAD_SECONDS = 3.0
"""Seconds for which another kind must lead before it is named."""
MUSIC, NO_MUSIC = 0.4, 0.2
"""Hysteresis on the music score (-1 other sounds, 1 music): a kind is named from MUSIC on, and dropped below
NO_MUSIC."""


@runtime_checkable
class KindScorer(Protocol):
    """An encoder that classifies the kind of music; `kinds` may be empty."""

    kinds: Sequence[str]

    def kind_scores(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Scores of a mean of embedding vectors [dim]: the music score (see MUSIC), and the log-likelihood of each of
        `kinds`, float [n], up to a common constant."""
        ...


class KindTracker:
    """Takes the embeddings in order, and names the kind of music. Belongs to one thread; depends on the audio's clock
    alone."""

    def __init__(self, encoder: object) -> None:
        self._encoder = encoder if isinstance(encoder, KindScorer) and encoder.kinds else None
        self.forget()

    def forget(self) -> None:
        """Reset the state, because the sound has ended."""
        self._mean: np.ndarray | None = None
        self._begin = self._now = self._led_since = -math.inf
        self._leader = self.name = ""

    def follow(self, embedding: AudioEmbedding) -> str:
        """Take the next embedding of a sound; returns the kind, "" if it is unknown or the sound is no music."""
        if self._encoder is None:
            return ""
        if self._mean is None or not np.isfinite(self._mean).all():
            self.forget()
            self._mean, self._begin = np.array(embedding.vector, np.float64), embedding.time
        else:
            self._mean += (embedding.vector - self._mean) * share(MEAN_SECONDS, max(embedding.time - self._now, 0.0))
        self._now = embedding.time
        music, scores = self._encoder.kind_scores(self._mean)
        if not music >= (NO_MUSIC if self.name else MUSIC):
            self._leader = self.name = ""
            return ""
        leader = self._encoder.kinds[int(scores.argmax())]
        if leader != self._leader:
            self._leader, self._led_since = leader, embedding.time
        since, least = (self._led_since, LEAD_SECONDS) if self.name else (self._begin, FIRST_SECONDS)
        if embedding.time - since >= least:
            self.name = leader
        return self.name
