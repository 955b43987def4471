"""Audio embeddings as rows of an engine's conditioning.

An encoder's embedding is in its own space; an engine expects states of its own text encoder. An AudioConditioner
converts. `PhraseBankConditioner` is the simple one: the encoder's coordinates are activations of phrases, and the
result is the weighted blend of the engine's states of those phrases. `phrase_conditioner.py` is for embeddings in a
sentence space, where the nearest phrases are active.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from tpos_live.audio_encoder.csls import CslsScorer
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.prompt_bank import blend

SLEW = 2.0
"""Seconds in which a change of the sound has reached 95 %."""
HOLD = 1.5
"""Shortest time in seconds for which the strongest phrase stays the strongest."""
SURE = 0.5
"""Seconds for which another phrase must lead before it becomes the strongest: between two sounds there are moments that
are neither."""
NEW = 1.0
"""Hysteresis is off for this many seconds after silence, and the strength rises slowly. The first label is final for
one clip in four after 0.3 s, for two in three after 0.7 s, for 70 % after 1 s."""
FAINT = 0.02
"""Strength below which the audio is invisible."""
EncodeAll = Callable[[Sequence[str]], torch.Tensor]
"""A text encoder: texts to their states, [texts, text tokens, dim]."""


@runtime_checkable
class PhraseBankEncoder(Protocol):
    """An encoder whose vector has one coordinate per phrase."""

    concepts: Sequence[str]


@runtime_checkable
class SentenceSpaceEncoder(Protocol):
    """An encoder whose vector is in a sentence space; each phrase has a sentence vector [n, dim].

    The first `scenes` phrases are those that Ember was trained to draw; the others name sounds. Those in `moods` are no
    scenes, but modify any scene.
    """

    phrases: Sequence[str]
    vectors: np.ndarray
    scenes: int
    moods: Container[str]

    def csls_scorer(self, places: np.ndarray) -> CslsScorer:
        """Scorer of its embeddings against texts with sentence vectors `places` [n, dim]."""
        ...


class AudioConditioner(Protocol):
    """Audio embeddings to text states, smooth in time. Belongs to the render thread; never waits."""

    def follow(self, embedding: AudioEmbedding | None, now: float) -> None:
        """Take the newest embedding (it may repeat) at `now`, seconds of the session's clock."""
        ...

    def strength(self) -> float:
        """Strength of the audio, 0 to 1."""
        ...

    def tokens(self) -> torch.Tensor:
        """[rows, dim] to append to a prompt's states; undefined while strength is 0."""
        ...

    def sentence(self) -> torch.Tensor:
        """[text tokens, dim] to blend with a prompt's states; undefined while strength is 0."""
        ...

    def scene(self) -> tuple[torch.Tensor, float]:
        """[text tokens, dim], the states of a scene that shows the sound by itself, and the confidence, 0 to 1;
        undefined while strength is 0."""
        ...

    def scene_texts(self) -> list[tuple[str, float]]:
        """The phrases of `scene`, weights of sum 1; none where it is not made of phrases."""
        ...

    def mood(self) -> tuple[torch.Tensor, float]:
        """[rows, dim] to append to any scene, and its confidence, 0 to 1."""
        ...

    def mood_texts(self) -> list[tuple[str, float]]:
        """The phrases of `mood`, weights of the confidence as sum; none where it is not made of phrases."""
        ...

    def directions(self, most: int) -> list[tuple[torch.Tensor, float]]:
        """At most `most` of [text tokens, dim] for semantic guidance, with weights of sum 1.

        Always as many for the same `most`; undefined while strength is 0.
        """
        ...


class HysteresisWeights:
    """Weights [n] that follow activations smoothly. The strongest stays so for HOLD seconds, and the next one must have
    led for SURE seconds."""

    def __init__(self, count: int) -> None:
        self.goal, self.weights = np.zeros(count), np.zeros(count)
        self._rival = -1
        self._changed = self._rival_at = -math.inf

    def aim(self, activations: np.ndarray, now: float, free: bool) -> None:
        """activations: [n], sum 1. free: without hysteresis, for a new sound."""
        first = int(activations.argmax())
        if self.goal.any() and first == int(self.goal.argmax()):
            self._rival = -1
        else:
            if first != self._rival:
                self._rival, self._rival_at = first, now
            waits = now - self._changed < HOLD or now - self._rival_at < SURE
            if self.goal.any() and waits and not free:
                return
            self._changed = now
        self.goal = activations

    def run(self, share: float) -> None:
        """Move a share of the way to the goal."""
        self.weights += (self.goal - self.weights) * share

    def active(self) -> list[int]:
        """Indices of the non-zero weights, a few of some hundred."""
        return [int(n) for n in np.flatnonzero(self.weights > 1e-3)]


class PhraseBankConditioner:
    """Blends the states of the phrases that are active.

    The weight of a phrase is its squared positive activation: the vector has unit length, so the weights sum to at most
    1. Rows to append are those of the phrase's words, behind the beginning-of-text token.
    """

    def __init__(self, concepts: Sequence[str], encode: EncodeAll, rows: int, first: int = 1) -> None:
        """Encodes every phrase at once: create it on a worker. encode: texts to [texts, text tokens, dim]. first: row
        of a text's first word."""
        self.concepts = tuple(concepts)
        self._rows, self._first = rows, first
        self._states = list(encode(self.concepts))
        self._all = HysteresisWeights(len(self.concepts))
        self._goal_strength = 0.0
        self._strength = 0.0
        self._now: float | None = None
        self._silent_at = -math.inf
        self._sentence: torch.Tensor | None = None

    def follow(self, embedding: AudioEmbedding | None, now: float) -> None:
        if max(self._strength, self._goal_strength) < FAINT:
            self._silent_at = now if self._now is None else self._now
        if embedding is not None:
            self._aim(embedding, now)
        elapsed = 0.0 if self._now is None else max(now - self._now, 0.0)
        self._now = now
        share = -math.expm1(-3.0 * elapsed / SLEW)
        grown = (self._goal_strength - self._strength) * share
        if grown > 0:
            grown *= min((now - self._silent_at) / NEW, 1.0)
        # The part by which the strength has just risen shows the current sound; after silence that is all of it.
        self._run(max(share, grown / (self._strength + grown) if grown > 0 else 0.0))
        self._strength += grown
        if self._goal_strength == 0.0 and self._strength < 1e-4:
            self._strength = 0.0
        self._sentence = None

    def _aim(self, embedding: AudioEmbedding, now: float) -> None:
        vector = np.asarray(embedding.vector, dtype=np.float64)
        if not np.isfinite(vector).all():
            return
        near = self._near(vector)
        if near.shape != self._all.goal.shape:
            return
        activations = self._activated(near)
        total = float(activations.sum())
        self._goal_strength = self._loud(min(max(float(embedding.density), 0.0), 1.0)) if total > 0 else 0.0
        if total <= 0:
            return  # in silence the last sound fades out
        self._hear(near, activations / total, now, free=now - self._silent_at < NEW)

    def _hear(self, near: np.ndarray, activations: np.ndarray, now: float, free: bool) -> None:
        self._all.aim(activations, now, free)

    def _run(self, share: float) -> None:
        self._all.run(share)

    def _near(self, vector: np.ndarray) -> np.ndarray:
        """Similarity of an embedding's vector to each phrase; in silence, values for which `_activated` gives zeros."""
        return vector

    def _activated(self, near: np.ndarray) -> np.ndarray:
        """Activation of each phrase, none negative; all zero in silence."""
        return np.maximum(near, 0.0) ** 2

    def _loud(self, magnitude: float) -> float:
        """Target strength for a density, 0 to 1."""
        return magnitude

    def strength(self) -> float:
        return self._strength

    def heard(self) -> str:
        """The phrase with the largest weight; "" in silence."""
        return self.concepts[int(self._all.weights.argmax())] if self._strength > 0.05 else ""

    def tokens(self) -> torch.Tensor:
        return self.sentence()[self._first : self._first + self._rows]

    def sentence(self) -> torch.Tensor:
        if self._sentence is None:
            self._sentence = self._blend(self._all)
        return self._sentence

    def scene(self) -> tuple[torch.Tensor, float]:
        return self.sentence(), 1.0

    def scene_texts(self) -> list[tuple[str, float]]:
        return self._texts(self._all)

    def mood(self) -> tuple[torch.Tensor, float]:
        return self.tokens(), 0.0

    def mood_texts(self) -> list[tuple[str, float]]:
        return []

    def directions(self, most: int) -> list[tuple[torch.Tensor, float]]:
        """The strongest phrases, one each; for `most` 1 the blend of all."""
        if most == 1:
            return [(self.sentence(), 1.0)]
        heard = self._all.weights
        order = np.argsort(-heard, kind="stable")
        # Relative to the next phrase's weight: where two swap ranks both have weight 0, so there is no jump.
        weights = heard[order[:most]] - (heard[order[most]] if len(order) > most else 0.0)
        total = float(weights.sum())
        shares = weights / total if total > 1e-6 else np.full(len(weights), 1 / len(weights))
        return [(self._state(int(n)), float(share)) for n, share in zip(order, shares, strict=False)]

    def _blend(self, followed: HysteresisWeights) -> torch.Tensor:
        parts = [(self._state(n), float(followed.weights[n])) for n in followed.active()]
        return blend(parts) if parts else self._state(0)

    def _texts(self, followed: HysteresisWeights) -> list[tuple[str, float]]:
        active = followed.active()
        total = sum(float(followed.weights[n]) for n in active)
        return [(self.concepts[n], float(followed.weights[n]) / total) for n in active]

    def _state(self, index: int) -> torch.Tensor:
        """The engine's states of one phrase."""
        return self._states[index]
