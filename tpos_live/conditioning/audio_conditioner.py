"""From audio embeddings to states of an engine's text encoder, which the conditioning builder blends with the prompt's.

An audio encoder's embedding is in a space of its own; an engine expects states of its own text encoder. A conditioner
converts the first to the second. For `PhraseBankConditioner` each coordinate of the embedding is the activation of one
phrase, and the result is the weighted blend of the engine's states of the phrases. Its subclasses are for embeddings in
a sentence space: `phrase_conditioner.py` blends the nearest phrases, `projection.py` converts the embedding itself.
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
"""Seconds after which the weights have made 95 % of a change of the sound."""
HOLD = 1.5
"""Hysteresis: shortest time in seconds for which a phrase stays the strongest."""
SURE = 0.5
"""Hysteresis: seconds for which another phrase must lead before it becomes the strongest. While one sound changes to
another, a third phrase leads for a moment."""
NEW = 1.0
"""Seconds after silence in which hysteresis is off and the strength rises slowly. The label is already the final one
for 25 % of clips after 0.3 s, for 67 % after 0.7 s and for 70 % after 1 s."""
FAINT = 0.02
"""Strength below which the audio has no visible effect."""
EncodeAll = Callable[[Sequence[str]], torch.Tensor]
"""A text encoder: texts to their states, [texts, text tokens, dim]."""


@runtime_checkable
class PhraseBankEncoder(Protocol):
    """An encoder whose vector has one coordinate per phrase."""

    concepts: Sequence[str]


@runtime_checkable
class SentenceSpaceEncoder(Protocol):
    """An encoder whose vector is in a sentence space; each phrase has a sentence vector [n, dim].

    The first `scenes` phrases are those that Ember was trained to draw; the others name sounds. Phrases in `moods` are
    not scenes: they modify any scene.
    """

    phrases: Sequence[str]
    vectors: np.ndarray
    scenes: int
    moods: Container[str]

    def csls_scorer(self, places: np.ndarray) -> CslsScorer:
        """A scorer of this encoder's embeddings against texts with sentence vectors `places` [n, dim]."""
        ...


class HysteresisWeights:
    """Weights [n] that follow activations smoothly, with hysteresis: the strongest one stays the strongest for at least
    HOLD seconds, and another one must lead for SURE seconds to replace it."""

    def __init__(self, count: int) -> None:
        self.goal, self.weights = np.zeros(count), np.zeros(count)
        self._rival = -1
        self._changed = self._rival_at = -math.inf

    def aim(self, activations: np.ndarray, now: float, free: bool) -> None:
        """Set the goal of the weights. activations: [n], sum 1. free: without hysteresis, for a new sound."""
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
        """Move the weights towards the goal, by `share` (0 to 1) of the difference."""
        self.weights += (self.goal - self.weights) * share

    def active(self) -> list[int]:
        """Indices of the weights above 0.001: a few of some hundred phrases."""
        return [int(n) for n in np.flatnonzero(self.weights > 1e-3)]


class PhraseBankConditioner:
    """Blends the states of the active phrases, smoothly in time. Belongs to the render thread; never waits.

    The weight of a phrase is its squared positive activation: the vector has unit length, so the weights sum to at most
    1. `tokens` are the first rows of the phrases' words; they begin behind the beginning-of-text token.
    """

    def __init__(self, concepts: Sequence[str], encode: EncodeAll, rows: int, first: int = 1) -> None:
        """Encodes all phrases, so create it on a worker thread. encode: texts to [texts, text tokens, dim]. rows: count
        of audio tokens. first: row of a text's first word."""
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
        """Take the newest embedding (it may repeat) at `now`, seconds of the session's clock."""
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
        # The strength that this step adds belongs to the current sound; after silence that is all of the strength.
        self._run(max(share, grown / (self._strength + grown) if grown > 0 else 0.0))
        self._strength += grown
        if self._goal_strength == 0.0 and self._strength < 1e-4:
            self._strength = 0.0
        self._sentence = None

    def _aim(self, embedding: AudioEmbedding, now: float) -> None:
        vector = np.asarray(embedding.vector, dtype=np.float64)
        if not np.isfinite(vector).all():
            return
        near = self._similarities(vector)
        if near.shape != self._all.goal.shape:
            return
        activations = self._activations(near)
        total = float(activations.sum())
        self._goal_strength = self._strength_of(min(max(float(embedding.density), 0.0), 1.0)) if total > 0 else 0.0
        if total <= 0:
            return  # in silence the last sound fades out
        self._aim_weights(near, activations / total, now, free=now - self._silent_at < NEW)

    def _aim_weights(self, near: np.ndarray, activations: np.ndarray, now: float, free: bool) -> None:
        self._all.aim(activations, now, free)

    def _run(self, share: float) -> None:
        self._all.run(share)

    def _similarities(self, vector: np.ndarray) -> np.ndarray:
        """Similarity of an embedding's vector to each phrase; in silence, values whose activations are all 0."""
        return vector

    def _activations(self, near: np.ndarray) -> np.ndarray:
        """Activation of each phrase, at least 0, by the similarities; all 0 in silence."""
        return np.maximum(near, 0.0) ** 2

    def _strength_of(self, density: float) -> float:
        """Target strength for an embedding's density, both 0 to 1."""
        return density

    def strength(self) -> float:
        """Strength of the audio, 0 to 1. While it is 0, the states below are undefined."""
        return self._strength

    def heard(self) -> str:
        """The phrase with the largest weight; "" at a strength of 0.05 or less."""
        return self.concepts[int(self._all.weights.argmax())] if self._strength > 0.05 else ""

    def tokens(self) -> torch.Tensor:
        """[rows, dim] to append to a prompt's states."""
        return self.sentence()[self._first : self._first + self._rows]

    def sentence(self) -> torch.Tensor:
        """[text tokens, dim] to blend with a prompt's states."""
        if self._sentence is None:
            self._sentence = self._blend(self._all)
        return self._sentence

    def scene(self) -> tuple[torch.Tensor, float]:
        """States [text tokens, dim] of the scene that the sound alone leads to, and its confidence, 0 to 1."""
        return self.sentence(), 1.0

    def scene_texts(self) -> list[tuple[str, float]]:
        """The phrases of `scene` and their weights, sum 1; empty where the scene is not a blend of phrases."""
        return self._texts(self._all)

    def mood(self) -> tuple[torch.Tensor, float]:
        """States [rows, dim] to add to the audio rows of any scene, and their confidence, 0 to 1."""
        return self.tokens(), 0.0

    def mood_texts(self) -> list[tuple[str, float]]:
        """The phrases of `mood` and their weights, whose sum is the confidence."""
        return []

    def directions(self, most: int) -> list[tuple[torch.Tensor, float]]:
        """Edit directions [text tokens, dim] for semantic guidance, with weights of sum 1: one for each of the `most`
        strongest phrases; with `most` 1 the blend of all phrases."""
        if most == 1:
            return [(self.sentence(), 1.0)]
        heard = self._all.weights
        order = np.argsort(-heard, kind="stable")
        # Weights are relative to that of the strongest phrase left out: two phrases that swap these ranks both have
        # weight 0 then, so nothing jumps.
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
