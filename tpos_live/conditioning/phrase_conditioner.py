"""Audio embeddings in a sentence space to states of an engine's text encoder, by the nearest phrases."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

import numpy as np
import torch

from tpos_live.audio_encoder.csls import CslsScorer
from tpos_live.conditioning.audio_conditioner import (
    EncodeAll,
    HysteresisWeights,
    PhraseBankConditioner,
    PhraseBankEncoder,
    SentenceSpaceEncoder,
)

SHARPNESS = 0.06
"""Temperature of the softmax over similarities."""
SCENE_SHARPNESS = 0.03
"""The same for scenes, lower, because the mean of many scenes shows none of them."""
SEVERAL = 4
"""Phrases that have a weight above zero at once."""
LEAD = 0.25
"""A mood has confidence 0 where the nearest scene is more similar by this much, and 1 where it is not more similar. The
same holds for a scene against moods."""


class PhraseConditioner(PhraseBankConditioner):
    """Blends the states of the nearest phrases, weighted by a softmax of their similarities.

    Works with any engine, without training. Scenes and moods have weights of their own, because a mood alone has no
    image.
    """

    def __init__(
        self, phrases: Sequence[str], vectors: np.ndarray, encode: EncodeAll, rows: int,
        first: int = 1, csls_scorer: CslsScorer | None = None, moods: Container[str] = (),
    ) -> None:  # fmt: skip
        """vectors: sentence vectors of the phrases, float [n, dim], unit length. csls_scorer: None for the cosine.
        moods: phrases that are not scenes. The other arguments are those of PhraseBankConditioner."""
        super().__init__(phrases, encode, rows, first)
        self._vectors = np.asarray(vectors, dtype=np.float64)
        self._csls_scorer = csls_scorer or CslsScorer(self._vectors)
        self._is_mood = np.array([phrase in moods for phrase in self.concepts], bool)
        self._scenes, self._moods = (HysteresisWeights(len(self.concepts)) for _ in range(2))
        self._goal_confidence = self._confidence = np.array([1.0, 0.0])
        """Confidence of the scene and of the mood, 0 to 1."""

    def _similarities(self, vector: np.ndarray) -> np.ndarray:
        if vector.shape != self._vectors.shape[1:] or not vector.any():
            return np.full(len(self.concepts), -np.inf)
        return self._csls_scorer(vector)

    def _activations(self, near: np.ndarray) -> np.ndarray:
        return nearest(near, SHARPNESS) if np.isfinite(near).any() else np.zeros_like(near)

    def _aim_weights(self, near: np.ndarray, activations: np.ndarray, now: float, free: bool) -> None:
        super()._aim_weights(near, activations, now, free)
        mood = self._is_mood
        self._scenes.aim(nearest(np.where(mood, -np.inf, near), SCENE_SHARPNESS), now, free)
        if mood.any():
            self._moods.aim(nearest(np.where(mood, near, -np.inf), SHARPNESS), now, free)
            lead = near[mood].max() - near[~mood].max()
            self._goal_confidence = np.clip(1.0 - np.array([lead, -lead]) / LEAD, 0.0, 1.0)

    def _run(self, share: float) -> None:
        super()._run(share)
        self._scenes.run(share)
        self._moods.run(share)
        self._confidence = self._confidence + (self._goal_confidence - self._confidence) * share

    def scene(self) -> tuple[torch.Tensor, float]:
        return self._blend(self._scenes), float(self._confidence[0])

    def scene_texts(self) -> list[tuple[str, float]]:
        return self._texts(self._scenes)

    def mood(self) -> tuple[torch.Tensor, float]:
        return self._blend(self._moods)[self._first : self._first + self._rows], float(self._confidence[1])

    def mood_texts(self) -> list[tuple[str, float]]:
        return [(text, weight * float(self._confidence[1])) for text, weight in self._texts(self._moods)]

    def _strength_of(self, density: float) -> float:
        """Square root of the density, so that sparse sound is visible: rain of density 0.1 has strength 0.32."""
        return math.sqrt(density)


def nearest(near: np.ndarray, sharpness: float) -> np.ndarray:
    """Softmax weights [n], sum 1, of the SEVERAL largest similarities in `near` [n]; 0 for all others. sharpness: the
    softmax's temperature."""
    weights = np.exp((near - near.max()) / sharpness)
    threshold = np.partition(weights, -SEVERAL)[-SEVERAL] if weights.size > SEVERAL else 0.0
    weights = np.where(weights >= threshold, weights, 0.0)
    return np.asarray(weights / weights.sum())


def sound_phrases(encoder: SentenceSpaceEncoder) -> tuple[Sequence[str], np.ndarray]:
    """The encoder's phrases and their sentence vectors [n, dim], each vector once.

    Where one of Ember's scenes and the name of a sound have the same vector, the name is used (it comes later).
    """
    chosen = sorted({vector.tobytes(): n for n, vector in enumerate(encoder.vectors)}.values())
    return [encoder.phrases[n] for n in chosen], encoder.vectors[chosen]


def _offered(encoder: SentenceSpaceEncoder, offered: Container[str] | None) -> tuple[Sequence[str], np.ndarray]:
    """The phrases, and their vectors [n, dim], for an engine that was trained with audio: offered scenes, and moods."""
    known = [
        n
        for n, phrase in enumerate(encoder.phrases[: encoder.scenes])
        if offered is None or phrase in offered or phrase in encoder.moods
    ]
    if all(encoder.phrases[n] in encoder.moods for n in known):  # no offered scene: use all
        known = list(range(encoder.scenes))
    return [encoder.phrases[n] for n in known], encoder.vectors[known]


def choose_audio_conditioner(
    encoder: object, encode: EncodeAll, rows: int, trained_with_audio: bool = True, first: int = 1,
    offered: Container[str] | None = None,
) -> PhraseBankConditioner | None:  # fmt: skip
    """The conditioner from an audio encoder to an engine; None where the encoder fits none, and audio has no effect.

    encode: the engine's text encoder. rows: the engine's number of audio tokens. trained_with_audio: the engine was
    trained with audio tokens, and gets only phrases that it was trained with; other engines get all phrases. first: row
    of a text's first word. offered: phrases of the scenes that an engine trained with audio offers, None for all.
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
