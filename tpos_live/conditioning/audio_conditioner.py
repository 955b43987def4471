"""What the sound means, as tokens of an engine.

An encoder names what it hears in its own space; an engine understands the states of its own text
encoder. An `AudioConditioner` goes between. `PhraseBankConditioner` is the plain one: the encoder's coordinates are
activations of phrases, and the tokens are the engine's states of those phrases, blended. `sentence_map.py` is
for a meaning that is a point in a sentence space: the phrases nearest to it are active.
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
"""Seconds in which a change of meaning has reached 95 % of the picture."""
HOLD = 1.5
"""Seconds that the strongest concept stays the strongest, at least."""
SURE = 0.5
"""Seconds for which another one has to be the strongest until it is: between two sounds stands what is neither."""
NEW = 1.0
"""Seconds for which a sound that comes out of silence is new: what it is may be taken back at any time, and it grows
the slower the younger it is. After three tenths of a second one clip in four is taken for what it is taken for in the
end, after seven two in three, after a second seven in ten."""
FAINT = 0.02
"""Strength below which nothing is seen."""
EncodeAll = Callable[[Sequence[str]], torch.Tensor]
"""A text encoder: texts to their states, [texts, text tokens, dim]."""


@runtime_checkable
class PhraseBankEncoder(Protocol):
    """An encoder whose vector has one coordinate for each of these phrases."""

    concepts: Sequence[str]


@runtime_checkable
class SentenceSpaceEncoder(Protocol):
    """An encoder whose vector is a point in a sentence space, where each phrase has its place [n, dim].

    The first `scenes` phrases are those that Ember learned to see; the others name sounds. Those in `moods` are no
    scenes, but change any.
    """

    phrases: Sequence[str]
    vectors: np.ndarray
    scenes: int
    moods: Container[str]

    def csls_scorer(self, places: np.ndarray) -> CslsScorer:
        """How near its vectors are to texts at `places` [n, dim]."""
        ...


class AudioConditioner(Protocol):
    """Meaning to tokens, smooth in time. Belongs to the render thread; never waits."""

    def follow(self, embedding: AudioEmbedding | None, now: float) -> None:
        """Take the newest meaning (the same one may come again) at `now`, seconds on the show's clock."""
        ...

    def strength(self) -> float:
        """How much the sound says, 0 to 1."""
        ...

    def tokens(self) -> torch.Tensor:
        """[rows, dim] for appending to a prompt's; unspecified while strength is 0."""
        ...

    def sentence(self) -> torch.Tensor:
        """[text tokens, dim] for blending into a prompt's; unspecified while strength is 0."""
        ...

    def scene(self) -> tuple[torch.Tensor, float]:
        """[text tokens, dim], what the sound looks like by itself, and how surely it looks like anything, 0 to 1;
        unspecified while strength is 0."""
        ...

    def mood(self) -> tuple[torch.Tensor, float]:
        """[rows, dim] for appending to any scene, and how surely it is heard, 0 to 1."""
        ...

    def directions(self, most: int) -> list[tuple[torch.Tensor, float]]:
        """At most `most` of [text tokens, dim] for semantic guidance, with weights that add up to one.

        Always as many for the same `most`; unspecified while strength is 0.
        """
        ...


class HysteresisWeights:
    """Weights [n] that follow what is heard, smoothly; the greatest stays so for HOLD at least, and the next one has
    been so for SURE."""

    def __init__(self, count: int) -> None:
        self.goal, self.weights = np.zeros(count), np.zeros(count)
        self._rival = -1
        self._changed = self._rival_at = -math.inf

    def aim(self, activations: np.ndarray, now: float, free: bool) -> None:
        """activations: [n], one in sum. free: what is seen is too new to be held."""
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
        """Go a share of the way."""
        self.weights += (self.goal - self.weights) * share

    def active(self) -> list[int]:
        """A few of some hundred."""
        return [int(n) for n in np.flatnonzero(self.weights > 1e-3)]


class PhraseBankConditioner:
    """Blends the states of the phrases that an encoder hears.

    The weight of a phrase is its squared positive activation: the vector is of unit length, so the
    weights of what is heard add up to one at most. Rows for appending are those of the phrase's words, after
    the beginning-of-text token.
    """

    def __init__(self, concepts: Sequence[str], encode: EncodeAll, rows: int, first: int = 1) -> None:
        """Encodes every phrase at once: build it on a worker. encode: texts to [texts, text tokens, dim]. first: the
        row of a text's first word."""
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
        # What has just grown is of what is heard now, whatever is seen already: out of silence, all of it.
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
            return  # silence fades out what was heard last
        self._hear(near, activations / total, now, free=now - self._silent_at < NEW)

    def _hear(self, near: np.ndarray, activations: np.ndarray, now: float, free: bool) -> None:
        self._all.aim(activations, now, free)

    def _run(self, share: float) -> None:
        self._all.run(share)

    def _near(self, vector: np.ndarray) -> np.ndarray:
        """How near a meaning's vector is to each phrase; in silence, what `_activated` gives nothing for."""
        return vector

    def _activated(self, near: np.ndarray) -> np.ndarray:
        """How active each phrase is, none negative; all zero in silence."""
        return np.maximum(near, 0.0) ** 2

    def _loud(self, magnitude: float) -> float:
        """The strength that a magnitude aims at, 0 to 1."""
        return magnitude

    def strength(self) -> float:
        return self._strength

    def heard(self) -> str:
        """The phrase with the greatest weight, for the status; "" in silence."""
        return self.concepts[int(self._all.weights.argmax())] if self._strength > 0.05 else ""

    def tokens(self) -> torch.Tensor:
        return self.sentence()[self._first : self._first + self._rows]

    def sentence(self) -> torch.Tensor:
        if self._sentence is None:
            self._sentence = self._blend(self._all)
        return self._sentence

    def scene(self) -> tuple[torch.Tensor, float]:
        return self.sentence(), 1.0

    def mood(self) -> tuple[torch.Tensor, float]:
        return self.tokens(), 0.0

    def directions(self, most: int) -> list[tuple[torch.Tensor, float]]:
        """The strongest phrases, each for itself; a single one is the blend of all."""
        if most == 1:
            return [(self.sentence(), 1.0)]
        heard = self._all.weights
        order = np.argsort(-heard, kind="stable")
        # Above the next one's: where two change places, both weigh nothing, and the picture does not jump.
        weights = heard[order[:most]] - (heard[order[most]] if len(order) > most else 0.0)
        total = float(weights.sum())
        shares = weights / total if total > 1e-6 else np.full(len(weights), 1 / len(weights))
        return [(self._state(int(n)), float(share)) for n, share in zip(order, shares, strict=False)]

    def _blend(self, followed: HysteresisWeights) -> torch.Tensor:
        parts = [(self._state(n), float(followed.weights[n])) for n in followed.active()]
        return blend(parts) if parts else self._state(0)

    def _state(self, index: int) -> torch.Tensor:
        """The engine's states of one phrase."""
        return self._states[index]
