"""The rows of conditioning that a UNet is given: a prompt, what is heard, the engine's scalars, and for an engine that
draws two prompts in one pass the second one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import torch

from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.metadata import Scalar
from tpos_live.diffusion.model.scalar_tokens import scalar_tokens
from tpos_live.diffusion.sampling.noise_field import few, kernel


class UnetTokens:
    """Writes one frame's conditioning into a buffer [1, count, dim]. Belongs to one thread.

    given: rows that come from outside, of a prompt and of what is heard. count: all rows.
    """

    def __init__(self, engine: Engine, audio_tokens: int | None = None) -> None:
        """audio_tokens: rows for what is heard; None = what the engine's metadata says."""
        own = engine.metadata.audio_tokens
        self.text = engine.text_tokens
        self.given = self.text + (own if audio_tokens is None or engine.layout is not None else audio_tokens)
        self.scalars = SeedScalars(engine.metadata.scalars)
        self.pairs = engine.layout is not None
        """Whether two prompts can share a frame in one pass."""
        self.count = self.given + len(self.scalars.scalars) + (self.text if self.pairs else 0)
        self._dim = engine.token_dim

    def fill(
        self, out: torch.Tensor, given: torch.Tensor, scalars: Sequence[float], second: torch.Tensor | None = None
    ) -> None:
        """out: [1, count, dim]. given: [`given` rows, dim]. scalars: as many as the engine names, in [0, 1]; the second
        prompt's share among them. second: [text rows or more, dim], None for one prompt."""
        out[0, : self.given].copy_(given)
        end = self.given + len(self.scalars.scalars)
        if self.scalars.scalars:
            values = torch.tensor([list(scalars)])
            out[:, self.given : end].copy_(scalar_tokens(values, self.scalars.cyclic, self._dim))
        if self.pairs:
            rest = out[0, end:]
            rest.zero_() if second is None else rest.copy_(second[: self.text])


class SeedScalars:
    """The scalars of an engine's metadata at one moment, each in [0, 1]."""

    def __init__(self, scalars: Sequence[Scalar]) -> None:
        self.scalars = tuple(scalars)
        self.cyclic = torch.tensor([scalar.cyclic for scalar in scalars], dtype=torch.bool)
        self._normal = NormalDist()

    def at(
        self, seed: int, look: int, walk: float, intensity: float, share: float = 0.0, palette: float = 0.0
    ) -> list[float]:
        """Values in the order of the metadata. share: of a second prompt. palette: turns to add to
        cyclic seed scalars.

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
                value = scalar.rate * walk % 1.0
            elif scalar.cyclic:
                start, side = few(seed, look, 255, n, 2)
                value = (self._normal.cdf(start) + math.copysign(scalar.rate, side) * walk + palette) % 1.0
            else:
                value = self._normal.cdf(self._wander(seed, look, n, scalar.rate * walk * 3.0))
            values.append(value)
        return values

    @staticmethod
    def _wander(seed: int, look: int, n: int, position: float) -> float:
        first, weights = kernel(position)
        return sum(w * few(seed, look, 128 + n, first + m, 1)[0] for m, w in enumerate(weights))
