"""Embeddings in a sentence space as an engine's conditioning: the nearest phrases are active."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

import numpy as np
import torch

from tpos_live.audio_encoder.csls import CslsScorer
from tpos_live.conditioning.audio_conditioner import (
    AudioConditioner,
    EncodeAll,
    HysteresisWeights,
    PhraseBankConditioner,
    PhraseBankEncoder,
    SentenceSpaceEncoder,
)

SHARPNESS = 0.06
"""Temperature of the softmax over similarities."""
SCENE_SHARPNESS = 0.03
"""The same for scenes: a mean of many scenes shows none of them."""
SEVERAL = 4
LEAD = 0.25
"""Distance in similarity to the nearest scene at which a mood has confidence 0; at equal similarity it is 1. The same
for a scene against moods."""


class PhraseConditioner(PhraseBankConditioner):
    """A phrase bank: the nearest phrases, weighted by a softmax of their similarity.

    Works with any engine, without training. Scenes and moods are separated, because a mood alone has no image.
    """

    def __init__(
        self, phrases: Sequence[str], vectors: np.ndarray, encode: EncodeAll, rows: int,
        first: int = 1, csls_scorer: CslsScorer | None = None, moods: Container[str] = (),
    ) -> None:  # fmt: skip
        """vectors: unit length, float [n, dim], sentence vectors of the phrases. scorer: default cosine. moods: phrases
        that are no scenes. Otherwise as PhraseBankConditioner."""
        super().__init__(phrases, encode, rows, first)
        self._vectors = np.asarray(vectors, dtype=np.float64)
        self._csls_scorer = csls_scorer or CslsScorer(self._vectors)
        self._is_mood = np.array([phrase in moods for phrase in self.concepts], bool)
        self._scenes, self._moods = (HysteresisWeights(len(self.concepts)) for _ in range(2))
        self._goal_sure = self._sure = np.array([1.0, 0.0])
        """Confidence of the scene and of the mood."""

    def _near(self, vector: np.ndarray) -> np.ndarray:
        if vector.shape != self._vectors.shape[1:] or not vector.any():
            return np.full(len(self.concepts), -np.inf)
        return self._csls_scorer(vector)

    def _activated(self, near: np.ndarray) -> np.ndarray:
        return nearest(near, SHARPNESS) if np.isfinite(near).any() else np.zeros_like(near)

    def _hear(self, near: np.ndarray, activations: np.ndarray, now: float, free: bool) -> None:
        super()._hear(near, activations, now, free)
        mood = self._is_mood
        self._scenes.aim(nearest(np.where(mood, -np.inf, near), SCENE_SHARPNESS), now, free)
        if mood.any():
            self._moods.aim(nearest(np.where(mood, near, -np.inf), SHARPNESS), now, free)
            behind = near[mood].max() - near[~mood].max()
            self._goal_sure = np.clip(1.0 - np.array([behind, -behind]) / LEAD, 0.0, 1.0)

    def _run(self, share: float) -> None:
        super()._run(share)
        self._scenes.run(share)
        self._moods.run(share)
        self._sure = self._sure + (self._goal_sure - self._sure) * share

    def scene(self) -> tuple[torch.Tensor, float]:
        return self._blend(self._scenes), float(self._sure[0])

    def scene_texts(self) -> list[tuple[str, float]]:
        return self._texts(self._scenes)

    def mood(self) -> tuple[torch.Tensor, float]:
        return self._blend(self._moods)[self._first : self._first + self._rows], float(self._sure[1])

    def mood_texts(self) -> list[tuple[str, float]]:
        return [(text, weight * float(self._sure[1])) for text, weight in self._texts(self._moods)]

    def _loud(self, magnitude: float) -> float:
        """Square root, so that sparse sound is visible: rain of density 0.1 has strength 0.32."""
        return math.sqrt(magnitude)


def nearest(near: np.ndarray, sharpness: float) -> np.ndarray:
    """Softmax weights [n], sum 1, of the SEVERAL largest of `near` [n]."""
    weights = np.exp((near - near.max()) / sharpness)
    few = np.partition(weights, -SEVERAL)[-SEVERAL] if weights.size > SEVERAL else 0.0
    weights = np.where(weights >= few, weights, 0.0)
    return np.asarray(weights / weights.sum())


def sound_phrases(encoder: SentenceSpaceEncoder) -> tuple[Sequence[str], np.ndarray]:
    """Names of sounds and their sentence vectors [n, dim], each vector once.

    Where a scene of Ember's has the same vector as a sound's name, the name is used (it comes later in the bank).
    """
    chosen = sorted({vector.tobytes(): n for n, vector in enumerate(encoder.vectors)}.values())
    return [encoder.phrases[n] for n in chosen], encoder.vectors[chosen]


def _offered(encoder: SentenceSpaceEncoder, offered: Container[str] | None) -> tuple[Sequence[str], np.ndarray]:
    """The scenes and moods that a sound leads an engine to which was trained with sound."""
    known = [
        n
        for n, phrase in enumerate(encoder.phrases[: encoder.scenes])
        if offered is None or phrase in offered or phrase in encoder.moods
    ]
    if all(encoder.phrases[n] in encoder.moods for n in known):  # none of its words: all, rather than silence
        known = list(range(encoder.scenes))
    return [encoder.phrases[n] for n in known], encoder.vectors[known]


def choose_audio_conditioner(
    encoder: object, encode: EncodeAll, rows: int, trained_with_audio: bool = True, first: int = 1,
    offered: Container[str] | None = None,
) -> AudioConditioner | None:  # fmt: skip
    """The conditioner from an encoder to an engine; None where there is none, and audio has no effect.

    encode: the engine's text encoder. rows: the engine's number of audio tokens. trained_with_audio: the engine was
    trained with audio tokens, and gets only phrases that it was trained with; other engines get all. first: row of a
    text's first word. offered: phrases of the scenes that such an engine offers, None for all: a sound leads to the
    nearest of them.
    """
    if isinstance(encoder, SentenceSpaceEncoder) and len(encoder.phrases) > 0:
        if trained_with_audio and encoder.scenes:
            phrases, vectors = _offered(encoder, offered)
        else:
            phrases, vectors = sound_phrases(encoder)
        return PhraseConditioner(phrases, vectors, encode, rows, first, encoder.csls_scorer(vectors), encoder.moods)
    if isinstance(encoder, PhraseBankEncoder) and len(encoder.concepts) > 0:
        return PhraseBankConditioner(encoder.concepts, encode, rows, first)
    return None
