"""What the sound means, as tokens of an engine.

An encoder names what it hears in its own space; an engine understands the states of its own text
encoder. An `AudioMap` goes between. `ConceptMap` is the plain one: the encoder's coordinates are
activations of phrases, and the tokens are the engine's states of those phrases, blended. `SentenceMap` is
for a meaning that is a point in a sentence space: the phrases nearest to it are active.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from tpos_live.analysis.encoder import Meaning
from tpos_live.analysis.nearness import Nearness
from tpos_live.conditioning.prompts import blend

SLEW = 2.0
"""Seconds in which a change of meaning has reached 95 % of the picture."""
HOLD = 1.5
"""Seconds that the strongest concept stays the strongest, at least."""
EncodeAll = Callable[[Sequence[str]], torch.Tensor]
"""A text encoder: texts to their states, [texts, text tokens, dim]."""


@runtime_checkable
class HearsConcepts(Protocol):
    """An encoder whose vector has one coordinate for each of these phrases."""

    concepts: Sequence[str]


@runtime_checkable
class HearsSentences(Protocol):
    """An encoder whose vector is a point in a sentence space, where each phrase has its place [n, dim].

    The first `scenes` phrases are those that Ember learned to see; the others name sounds.
    """

    phrases: Sequence[str]
    vectors: np.ndarray
    scenes: int

    def nearness(self, places: np.ndarray) -> Nearness:
        """How near its vectors are to texts at `places` [n, dim]."""
        ...


class AudioMap(Protocol):
    """Meaning to tokens, smooth in time. Belongs to the render thread; never waits."""

    def follow(self, meaning: Meaning | None, now: float) -> None:
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

    def directions(self, most: int) -> list[tuple[torch.Tensor, float]]:
        """At most `most` of [text tokens, dim] for semantic guidance, with weights that add up to one.

        Always as many for the same `most`; unspecified while strength is 0.
        """
        ...


class ConceptMap:
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
        self._goal = np.zeros(len(self.concepts))
        self._weights = np.zeros(len(self.concepts))
        self._goal_strength = 0.0
        self._strength = 0.0
        self._now: float | None = None
        self._changed = -math.inf
        self._sentence: torch.Tensor | None = None

    def follow(self, meaning: Meaning | None, now: float) -> None:
        if meaning is not None:
            self._aim(meaning, now)
        elapsed = 0.0 if self._now is None else max(now - self._now, 0.0)
        self._now = now
        share = -math.expm1(-3.0 * elapsed / SLEW)
        if self._strength < 1e-3 and self._goal_strength > 0:
            self._weights[:] = self._goal  # out of silence there is nothing to slew from
        self._weights += (self._goal - self._weights) * share
        self._strength += (self._goal_strength - self._strength) * share
        if self._goal_strength == 0.0 and self._strength < 1e-4:
            self._strength = 0.0
        self._sentence = None

    def _aim(self, meaning: Meaning, now: float) -> None:
        activations = self._activations(np.asarray(meaning.vector, dtype=np.float64))
        if activations.shape != self._goal.shape or not np.isfinite(activations).all():
            return
        total = float(activations.sum())
        self._goal_strength = self._loud(min(max(float(meaning.magnitude), 0.0), 1.0)) if total > 0 else 0.0
        if total <= 0:
            return  # silence fades out what was heard last
        activations /= total
        if int(activations.argmax()) != int(self._goal.argmax()) or not self._goal.any():
            if now - self._changed < HOLD and self._strength > 1e-3:
                return
            self._changed = now
        self._goal = activations

    def _activations(self, vector: np.ndarray) -> np.ndarray:
        """How active each phrase is, none negative; all zero in silence."""
        return np.maximum(vector, 0.0) ** 2

    def _loud(self, magnitude: float) -> float:
        """The strength that a magnitude aims at, 0 to 1."""
        return magnitude

    def strength(self) -> float:
        return self._strength

    def heard(self) -> str:
        """The phrase with the greatest weight, for the status; "" in silence."""
        return self.concepts[int(self._weights.argmax())] if self._strength > 0.05 else ""

    def tokens(self) -> torch.Tensor:
        return self.sentence()[self._first : self._first + self._rows]

    def sentence(self) -> torch.Tensor:
        if self._sentence is None:
            active = np.flatnonzero(self._weights > 1e-3).tolist()  # a few of some hundred
            parts = [(self._state(n), float(self._weights[n])) for n in active]
            self._sentence = blend(parts) if parts else self._state(0)
        return self._sentence

    def directions(self, most: int) -> list[tuple[torch.Tensor, float]]:
        """The strongest phrases, each for itself; a single one is the blend of all."""
        if most == 1:
            return [(self.sentence(), 1.0)]
        order = np.argsort(-self._weights, kind="stable")
        # Above the next one's: where two change places, both weigh nothing, and the picture does not jump.
        weights = self._weights[order[:most]] - (self._weights[order[most]] if len(order) > most else 0.0)
        total = float(weights.sum())
        shares = weights / total if total > 1e-6 else np.full(len(weights), 1 / len(weights))
        return [(self._state(int(n)), float(share)) for n, share in zip(order, shares, strict=False)]

    def _state(self, index: int) -> torch.Tensor:
        """The engine's states of one phrase."""
        return self._states[index]


class SentenceMap(ConceptMap):
    """A concept bank: the few phrases nearest to the meaning, weighted by a softmax of their nearness.

    So any engine is told what was heard, in its own words and without training.
    """

    SHARPNESS = 0.06
    """A phrase whose nearness is this much smaller weighs 1/e of the other."""
    SEVERAL = 4

    def __init__(
        self, phrases: Sequence[str], vectors: np.ndarray, encode: EncodeAll, rows: int,
        first: int = 1, nearness: Nearness | None = None,
    ) -> None:  # fmt: skip
        """vectors: unit length, float [n, dim], the places of the phrases; nearness: to them, by default the cosine.
        Otherwise as ConceptMap."""
        super().__init__(phrases, encode, rows, first)
        self._vectors = np.asarray(vectors, dtype=np.float64)
        self._nearness = nearness or Nearness(self._vectors)

    def _activations(self, vector: np.ndarray) -> np.ndarray:
        if vector.shape != self._vectors.shape[1:] or not vector.any():
            return np.zeros(len(self.concepts))
        near = self._nearness(vector)
        weights = np.exp((near - near.max()) / self.SHARPNESS)
        few = np.partition(weights, -self.SEVERAL)[-self.SEVERAL] if weights.size > self.SEVERAL else 0.0
        return np.where(weights >= few, weights, 0.0)

    def _loud(self, magnitude: float) -> float:
        """A little of something is seen too: a light rain of density 0.1 at a third."""
        return math.sqrt(magnitude)


def names(encoder: HearsSentences) -> tuple[Sequence[str], np.ndarray]:
    """What sounds are called, and where they lie [n, dim]: each place once.

    Where Ember's scene stands at the place of a sound's name, the name itself, which comes later in the bank.
    """
    chosen = sorted({vector.tobytes(): n for n, vector in enumerate(encoder.vectors)}.values())
    return [encoder.phrases[n] for n in chosen], encoder.vectors[chosen]


def audio_map(encoder: object, encode: EncodeAll, rows: int, hears: bool = True, first: int = 1) -> AudioMap | None:
    """The map from an encoder to an engine; None where there is none, and the prompt stays alone.

    encode: the engine's text encoder. rows: the engine's number of audio tokens. hears: the engine was trained
    with audio tokens, and is told of what it learned to see alone; any other engine knows more words. first: the
    row of a text's first word.
    """
    if isinstance(encoder, HearsSentences) and len(encoder.phrases) > 0:
        if hears and encoder.scenes:
            phrases, vectors = encoder.phrases[: encoder.scenes], encoder.vectors[: encoder.scenes]
        else:
            phrases, vectors = names(encoder)
        return SentenceMap(phrases, vectors, encode, rows, first, encoder.nearness(vectors))
    if isinstance(encoder, HearsConcepts) and len(encoder.concepts) > 0:
        return ConceptMap(encoder.concepts, encode, rows, first)
    return None
