"""Generates single images for measurements, from given text states, scalars and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tpos_live.conditioning.conditioning import fill_rows
from tpos_live.conditioning.prompt_bank import Part
from tpos_live.core.backend_table import INTERIM
from tpos_live.core.errors import EngineError
from tpos_live.diffusion.backends.registry import choose, prepare_better
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.eager import SamplingLoop
from tpos_live.diffusion.sampling.noise_field import NoiseField
from tpos_live.diffusion.sampling.region_blend import RegionBlender
from tpos_live.diffusion.sampling.unet_tokens import UnetTokens, rows_of_pairs


class SamplerHarness:
    """Draws as a show does, with the show's backend, in silence. Belongs to one thread."""

    def __init__(
        self, engine: Engine, accelerator: str = "auto", size: tuple[int, int] | None = None, threads: int = 0
    ) -> None:
        """accelerator: as on the command line; a faster one is prepared first, once on a machine. threads: 0 = all."""
        self.engine = engine
        self.size = engine.nearest_size(size or engine.metadata.size)
        self._rows = UnetTokens(engine)
        rows = self._rows.sequence_length
        request = BackendRequest(engine, self.size, rows, threads)
        self.backend = choose(accelerator, request)
        if self.backend.name in INTERIM:
            try:
                self.backend = prepare_better(accelerator, request) or self.backend
            except EngineError as error:
                self.backend.fallback_reason = str(error)
        reason = self.backend.fallback_reason
        self.note = f"{self.backend.name} ({reason})" if reason else self.backend.name
        """What runs, and why nothing faster, one line."""
        self._tokens = torch.zeros(1, rows, engine.token_dim, device=engine.device)
        shape = engine.latent_shape(self.size)
        self._loop = SamplingLoop(shape, engine.device)
        self._field = NoiseField(*shape[1:], packing=engine.packing)
        self._shape = shape
        self._blender = RegionBlender(shape, engine.device, engine.packing > 1)
        self._pixels = np.zeros((self.size[1], self.size[0], 3), np.uint8)

    def noise(self, generator: torch.Generator) -> torch.Tensor:
        """White noise for one image, float [1, channels, h, w]."""
        return torch.randn(self._shape, generator=generator)

    def moment(self, seed: int, noise_position: float, intensity: float) -> tuple[torch.Tensor, list[float]]:
        """Noise (a buffer) and scalars as a show has them at a position of the noise trajectory."""
        return self._field.at(seed, 0, noise_position), self._rows.scalars.at(seed, 0, noise_position, intensity)

    @torch.inference_mode()
    def draw(self, states: torch.Tensor, scalars: Sequence[float], noise: torch.Tensor, steps: int = 1) -> np.ndarray:
        """The image uint8 [H, W, 3].

        states: [text tokens, dim], of `Texts.encode`. scalars: as many as the engine's metadata names, in [0, 1].
        """
        return self.blend([(states, 1.0)], scalars, noise, steps)

    @torch.inference_mode()
    def blend(self, parts: Sequence[Part], scalars: Sequence[float], noise: torch.Tensor, steps: int = 1) -> np.ndarray:
        """The same of several prompts, blended by region, as in a show between two prompts.

        parts: states and weights, at most MAX_REGIONS, one in sum; those of no weight are left out.
        """
        parts = [part for part in parts if part[1] > 0]
        if self.engine.draws_pairs and len(parts) > 1:
            pairs, weights = rows_of_pairs([states for states, _ in parts], [weight for _, weight in parts])
            conditions = [self._condition(first, scalars, second, share) for first, second, share in pairs]
        else:
            conditions = [self._condition(states, scalars) for states, _ in parts]
            weights = tuple(weight for _, weight in parts)
        if len(conditions) > 1:
            self._blender.prepare(weights)
        plan = self.engine.schedule.plan(steps)

        def predict(n: int, latent: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            if len(conditions) == 1:
                return self.backend.predict(latent, timestep, conditions[0])
            found = [self.backend.predict(latent, timestep, tokens).clone() for tokens in conditions]
            step = plan.steps[n]
            return self._blender.blend(n == 0, latent, torch.cat(found), step.c_skip, step.c_out)

        latent = self._loop.run(plan, predict, noise.to(self.engine.device))
        self.backend.decode(latent, self._pixels)
        return self._pixels.copy()

    def _condition(
        self, states: torch.Tensor, scalars: Sequence[float], second: torch.Tensor | None = None, share: float = 0.0
    ) -> torch.Tensor:
        """Tokens [1, rows, dim] of a prompt in silence, and of a second one."""
        rows = states.new_empty(self._rows.prompt_length, states.shape[1])
        fill_rows(rows, states, self.engine.trained_with_audio)
        values = list(scalars)[: len(self._rows.scalars.scalars)]
        if self.engine.draws_pairs:
            values[len(self._rows.scalars.scalars) - 1 :] = [share]
        tokens = torch.zeros_like(self._tokens)
        self._rows.fill(tokens, rows, values, second)
        return tokens


def as_tensor(images: Sequence[np.ndarray]) -> torch.Tensor:
    """Images uint8 [H, W, 3] as float [batch, 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
