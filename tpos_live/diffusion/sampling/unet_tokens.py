"""The rows of conditioning that a UNet is given: a prompt, what is heard, the engine's scalars, and for an engine that
draws two prompts in one pass the second one."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.scalar_tokens import scalar_tokens
from tpos_live.diffusion.sampling.noise_field import SeedScalars


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
