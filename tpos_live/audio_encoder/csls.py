"""Similarity of audio embeddings to texts, with cross-domain similarity local scaling (CSLS).

All texts lie on one side of the sentence space, and audio that was trained with labels lies very near these labels, so
plain cosine similarity prefers trained labels. The score is the cosine relative to the mean of all texts, minus a share
of the mean similarity of the text to its nearest sounds (Conneau et al., "Word translation without parallel data", ICLR
2018, equation 1).
"""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 10
CSLS_WEIGHT = 0.5
"""Share of a text's mean similarity to its NEIGHBOURS that is subtracted, for texts with training sounds (as in a
phrase bank)."""
ZERO_SHOT_CSLS_WEIGHT = 0.9
"""The same if a text had no training sounds (zero-shot). A smaller weight assigns its sounds to other texts; a weight
of 1 assigns their sounds to it. Among trained texts alone this weight would prefer rare texts."""


class CslsScorer:
    """Scores embeddings against n texts. Immutable: any thread may call it."""

    def __init__(
        self, places: np.ndarray, centre: np.ndarray | None = None, heard: np.ndarray | None = None,
        csls_weight: float = CSLS_WEIGHT,
    ) -> None:  # fmt: skip
        """places: float [n, dim], sentence vectors of the texts. centre: [dim], the mean of texts. heard: embeddings
        [m, dim] of training sounds. Without both the score is the plain cosine. csls_weight: CSLS_WEIGHT or
        ZERO_SHOT_CSLS_WEIGHT."""
        self._centre = np.zeros(places.shape[1]) if centre is None else np.asarray(centre, np.float64)
        self._places = self._centred(places)
        self._hubness = np.zeros(len(places))
        if heard is not None and len(heard):
            nearest = np.sort(self._centred(heard) @ self._places.T, axis=0)[-NEIGHBOURS:]
            self._hubness = csls_weight * nearest.mean(axis=0)

    def __call__(self, embedding: np.ndarray) -> np.ndarray:
        """Scores float [n] of an embedding [dim]."""
        return np.asarray(self._places @ self._centred(embedding) - self._hubness)

    def _centred(self, vectors: np.ndarray) -> np.ndarray:
        """Unit vectors relative to the centre."""
        offset = np.asarray(vectors, np.float64) - self._centre
        return np.asarray(offset / np.maximum(np.linalg.norm(offset, axis=-1, keepdims=True), 1e-9))
