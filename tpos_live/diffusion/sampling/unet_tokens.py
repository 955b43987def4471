"""The rows of conditioning that a UNet is given: a prompt, what is heard, the engine's scalars, and for an engine that
draws two prompts in one pass the second one.

Such a UNet is trained on one prompt alone and on two with a share of the area. Between "no second prompt" and "a second
prompt without area" its image changes at once, by up to a third of the way between the two. So the second prompt's
embeddings come in from zero while its share is small. At the other end the second prompt also takes the place of the
first one, and its own place is then emptied: with a weight of one it is the only prompt there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist

import torch

from tpos_live.core.envelope import ease
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.metadata import Scalar
from tpos_live.diffusion.model.scalar_tokens import scalar_tokens
from tpos_live.diffusion.sampling.noise_field import few, kernel

END = 0.3
"""Weights up to END and from 1 - END lead from one prompt to two and back."""
MOVED, EMPTIED = 0.45, 0.3
"""Parts of the last END: by MOVED the second prompt is in the first place; from EMPTIED on its own place is emptied."""


class UnetTokens:
    """Writes one frame's conditioning into a buffer [1, sequence_length, dim]. Belongs to one thread.

    prompt_length: rows that come from outside, of a prompt and of what is heard. sequence_length: all rows.
    """

    def __init__(self, engine: Engine, audio_tokens: int | None = None) -> None:
        """audio_tokens: rows for what is heard; None = what the engine's metadata says."""
        own = engine.metadata.audio_tokens
        self.prompt_length = engine.text_tokens + (own if audio_tokens is None or engine.draws_pairs else audio_tokens)
        self.scalars = SeedScalars(engine.metadata.scalars)
        self._second = self.prompt_length + len(self.scalars.scalars)
        self._second_length = engine.text_tokens if engine.draws_pairs else 0
        self.sequence_length = self._second + self._second_length
        self._dim = engine.token_dim

    def fill(
        self, out: torch.Tensor, given: torch.Tensor, scalars: Sequence[float], second: torch.Tensor | None = None
    ) -> None:
        """out: [1, sequence_length, dim]. given: [prompt_length, dim]. scalars: as many as the engine names, in [0, 1];
        the second prompt's share among them. second: [text rows or more, dim], None for one prompt."""
        out[0, : self.prompt_length].copy_(given)
        if self.scalars.scalars:
            values = torch.tensor([list(scalars)])
            tokens = scalar_tokens(values, self.scalars.cyclic, self._dim)
            out[:, self.prompt_length : self._second].copy_(tokens)
        rest = out[0, self._second :]  # no rows of an engine that draws one prompt
        rest.zero_() if second is None else rest.copy_(second[: self._second_length])


class SeedScalars:
    """The scalars of an engine's metadata at one moment, each in [0, 1]."""

    def __init__(self, scalars: Sequence[Scalar]) -> None:
        self.scalars = tuple(scalars)
        self.cyclic = torch.tensor([scalar.cyclic for scalar in scalars], dtype=torch.bool)
        self._normal = NormalDist()

    def at(
        self, seed: int, cut_index: int, position: float, intensity: float, share: float = 0.0, palette: float = 0.0,
        span: tuple[float, float] | None = None,
    ) -> list[float]:  # fmt: skip
        """Values in the order of the metadata. position: on the noise trajectory. share: of a second prompt. palette:
        turns to add to cyclic seed scalars. span: the part of -1 to 1 to which the sine of those is held, None for all
        of the circle.

        A cyclic seed scalar goes round at its rate, from a place and in a direction of the seed. One that
        is not cyclic wanders: a Gaussian walk as smooth as the noise's, through the normal distribution
        function, so that it is uniform in [0, 1] at all times and moves at about half its rate on
        average, and hardly ever above three times its rate.
        """
        values = []
        for n, scalar in enumerate(self.scalars):
            if scalar.source == "intensity":
                value = min(max(intensity, 0.0), 1.0)
            elif scalar.source == "share":
                value = share
            elif scalar.source == "clock":
                value = scalar.rate * position % 1.0
            elif scalar.cyclic:
                start, side = few(seed, cut_index, 255, n, 2)
                value = (self._normal.cdf(start) + math.copysign(scalar.rate, side) * position + palette) % 1.0
                value = value if span is None else _within(value, *span)
            else:
                value = self._normal.cdf(self._wander(seed, cut_index, n, scalar.rate * position * 3.0))
            values.append(value)
        return values

    @staticmethod
    def _wander(seed: int, cut_index: int, n: int, position: float) -> float:
        first, weights = kernel(position)
        return sum(w * few(seed, cut_index, 128 + n, first + m, 1)[0] for m, w in enumerate(weights))


def paired(first: torch.Tensor, second: torch.Tensor, weight: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """What the UNet is given in the first and in the second place, and the share of the second.

    first, second: embeddings [rows, dim] of one shape. weight: of the second, in (0, 1); the result is continuous in
    it, and at 0 and 1 that of one prompt alone (the second place zeros, the share 0).
    """
    share = ease(weight)  # the part of the area, as of `region_blend.shares`: of two, the eased weights are one in sum
    come, go = ease(weight / END), (weight - (1 - END)) / END
    if go <= 0:
        return first, second * come, share
    left = 1 - ease((go - EMPTIED) / (1 - EMPTIED))
    return torch.lerp(first, second, ease(go / MOVED)), second * left, share * left


def rows_of_pairs(
    embeds: Sequence[torch.Tensor], weights: Sequence[float], heard: bool = False
) -> tuple[list[tuple[torch.Tensor, torch.Tensor, float]], tuple[float, ...]]:
    """Two regions or more as rows of the UNet, each what `paired` gives, and the rows' weights, one in sum.

    heard: the last region is the sound's. It is then in the second place of them all: a fade between two prompts begins
    and ends with the row that a prompt and the sound have by themselves. Without a sound every two prompts are a row,
    with the product of their weights: wherever one of three comes or goes, the row of the two others is what is left.
    """
    if heard:
        *firsts, last = embeds
        *rest, weight = weights
        rows = [paired(first, last, weight) for first in firsts]
        return rows, tuple(part / sum(rest) for part in rest)
    places = list(combinations(range(len(embeds)), 2))
    rows = [paired(embeds[a], embeds[b], weights[b] / (weights[a] + weights[b])) for a, b in places]
    products = [weights[a] * weights[b] for a, b in places]
    return rows, tuple(product / sum(products) for product in products)


def _within(turn: float, low: float, high: float) -> float:
    """A turn whose sine goes from `low` to `high` as that of `turn` goes from -1 to 1; it stays on that half of the
    circle where the sine rises. turn: 0 to 1."""
    sine = low + (high - low) * (math.sin(2.0 * math.pi * turn) + 1.0) / 2.0
    return math.asin(min(max(sine, -1.0), 1.0)) / (2.0 * math.pi) % 1.0
