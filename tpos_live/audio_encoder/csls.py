"""How near a meaning is to texts, fairly: also to those that no sound was ever taught by name.

All texts lie to one side of the sentence space, and sounds that were taught their names lie very near these: their
names would draw everything. So nearness is the cosine about the middle of texts, less a part of what the text gets from
the sounds nearest to it anyway (CSLS: Conneau et al., Word translation without parallel data, ICLR 2018, equation 1).
"""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 10
CSLS_WEIGHT = 0.5
"""Of a text's nearness to its NEIGHBOURS that is taken off, as in CSLS: for texts that sounds were taught, by name or
as what they are like, as those of a bank are."""
ZERO_SHOT_CSLS_WEIGHT = 0.9
"""The same where one of the texts was taught by nothing: with less, its sounds are given to the others, and with all of
it, theirs to it. Among taught texts alone it would draw sounds to the rare ones: a helicopter to frying, a synthesizer
to a busy signal."""


class CslsScorer:
    """Nearness to n texts. Immutable: any thread may call it."""

    def __init__(
        self, places: np.ndarray, centre: np.ndarray | None = None, heard: np.ndarray | None = None,
        csls_weight: float = CSLS_WEIGHT,
    ) -> None:  # fmt: skip
        """places: float [n, dim], of the texts. centre: [dim], the middle of texts. heard: meanings [m, dim] of sounds
        that were heard in training. Without these it is the plain cosine. taken: TAUGHT or UNTAUGHT."""
        self._centre = np.zeros(places.shape[1]) if centre is None else np.asarray(centre, np.float64)
        self._places = self._about(places)
        self._taken = np.zeros(len(places))
        if heard is not None and len(heard):
            common = np.sort(self._about(heard) @ self._places.T, axis=0)[-NEIGHBOURS:]
            self._taken = csls_weight * common.mean(axis=0)

    def __call__(self, embedding: np.ndarray) -> np.ndarray:
        """Float [n], the greater the nearer, of a meaning [dim]."""
        return np.asarray(self._places @ self._about(embedding) - self._taken)

    def _about(self, vectors: np.ndarray) -> np.ndarray:
        """Unit vectors, seen from the centre."""
        off = np.asarray(vectors, np.float64) - self._centre
        return np.asarray(off / np.maximum(np.linalg.norm(off, axis=-1, keepdims=True), 1e-9))
