"""The rows of a UNet's conditioning: a prompt, audio tokens, the engine's scalars, and, for an engine that draws two
prompts in one pass, a second prompt.

A UNet for two prompts is trained on one prompt alone, and on two prompts with a share of the area. Its image jumps
between "no second prompt" and "a second prompt with share 0", by up to a third of the difference between the two
prompts' images. So the second prompt's embeddings are faded in from zero while its share is small. At the other end,
the second prompt fades to the first place, and its own place fades to zero: at weight 1 it is the only prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist

import torch

from tpos_live.core.envelope import ease
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.metadata import SCALAR_HARMONICS, SCALAR_WIDTH, Scalar
from tpos_live.diffusion.sampling.noise_field import few, kernel

END = 0.3
"""Weights of the second prompt from 0 to END fade from one prompt to two, and those from 1 - END to 1 back to one."""
MOVED, EMPTIED = 0.45, 0.3
"""Parts of the last END: at MOVED the first place holds the second prompt; from EMPTIED on the second place fades out.
"""
GAIN = 3.0
"""Scales a scalar's token to about the length of a layer-normalised text token."""


class UnetTokens:
    """Writes a frame's conditioning into a buffer [1, sequence_length, dim]. Belongs to one thread.

    prompt_length: rows from the conditioning builder, a prompt's and the audio's. sequence_length: all rows.
    """

    def __init__(self, engine: Engine) -> None:
        self.prompt_length = engine.text_tokens + engine.metadata.audio_tokens
        self.scalars = SeedScalars(engine.metadata.scalars)
        self._second = self.prompt_length + len(self.scalars.scalars)
        self._second_length = engine.text_tokens if engine.draws_pairs else 0
        self.sequence_length = self._second + self._second_length
        self._dim = engine.token_dim

    def fill(
        self, out: torch.Tensor, given: torch.Tensor, scalars: Sequence[float], second: torch.Tensor | None = None
    ) -> None:
        """Write all rows to `out` [1, sequence_length, dim].

        given: [prompt_length, dim]. scalars: one for each scalar of the engine, in [0, 1], including the second
        prompt's share. second: [text rows or more, dim], None for one prompt."""
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
        """Values in the order of the metadata. position: on the noise trajectory. share: of a second prompt, 0 to 1.
        palette: turns (1 = 360 degrees) to add to cyclic seed scalars. span: limits of the sine of cyclic seed scalars,
        in [-1, 1]; None for the whole circle.

        A cyclic seed scalar rotates at its rate; the seed decides its start and direction. A seed scalar that is not
        cyclic is a Gaussian walk, as smooth as the noise's, mapped by the normal distribution function. So it is
        uniform in [0, 1] at all times, and moves at about half its rate on average and rarely above three times it.
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


def scalar_tokens(values: torch.Tensor, cyclic: torch.Tensor, dim: int) -> torch.Tensor:
    """Scalars as tokens of fixed sines and cosines, without weights, in training as in a show.

    values: float [batch, n], in [0, 1]. cyclic: bool [n]. Returns float [batch, n, dim].
    Scalar j uses coordinates j*SCALAR_WIDTH to (j+1)*SCALAR_WIDTH: a 1 that identifies it, then sin(k*a) and cos(k*a)
    for k = 1..SCALAR_HARMONICS, with a = 2*pi*v where it is cyclic, else pi*v.
    Raises ValueError if dim is too small for n scalars.
    """
    batch, n = values.shape
    if n * SCALAR_WIDTH > dim:
        raise ValueError(f"{n} scalars need a token dimension of {n * SCALAR_WIDTH}, the engine has {dim}")
    angle = values * torch.where(cyclic, 2 * math.pi, math.pi).to(values)
    k = torch.arange(1, SCALAR_HARMONICS + 1, device=values.device, dtype=values.dtype)
    waves = angle[..., None] * k
    parts = torch.cat([torch.ones_like(values)[..., None], waves.sin(), waves.cos()], dim=-1)
    tokens = values.new_zeros(batch, n, dim)
    for j in range(n):
        tokens[:, j, j * SCALAR_WIDTH : (j + 1) * SCALAR_WIDTH] = parts[:, j]
    return tokens * GAIN


def paired(first: torch.Tensor, second: torch.Tensor, weight: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """The embeddings for the UNet's first and second place, and the share of the second place.

    first, second: embeddings [rows, dim] of one shape. weight: of the second prompt, in (0, 1). The result is
    continuous in the weight; towards 0 and 1 it becomes one prompt alone (zeros in the second place, share 0).
    """
    share = ease(weight)  # of the area, as in `region_blend.shares`: two eased weights already have the sum 1
    come, go = ease(weight / END), (weight - (1 - END)) / END
    if go <= 0:
        return first, second * come, share
    left = 1 - ease((go - EMPTIED) / (1 - EMPTIED))
    return torch.lerp(first, second, ease(go / MOVED)), second * left, share * left


def rows_of_pairs(
    embeds: Sequence[torch.Tensor], weights: Sequence[float], heard: bool = False
) -> tuple[list[tuple[torch.Tensor, torch.Tensor, float]], tuple[float, ...]]:
    """Two or more regions as rows of the batch, each as `paired` returns it, and the rows' weights, sum 1.

    heard: the last region is the sound's. It is then the second prompt of every row, so a fade between two prompts
    begins and ends with the same row as a prompt and the sound without a fade. Otherwise each pair of prompts is a row,
    weighted by the product of their weights: when one of three prompts fades out, the row of the other two remains.
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
    """The angle, in turns, whose sine is that of `turn` mapped linearly from [-1, 1] to [low, high]. It stays on the
    half of the circle where the sine rises. turn: 0 to 1."""
    sine = low + (high - low) * (math.sin(2.0 * math.pi * turn) + 1.0) / 2.0
    return math.asin(min(max(sine, -1.0), 1.0)) / (2.0 * math.pi) % 1.0
