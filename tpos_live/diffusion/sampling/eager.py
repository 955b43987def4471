"""The sampler that works with every backend: a Python loop over the steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from tpos_live.diffusion.model.backend import Backend, BackendRequest
from tpos_live.diffusion.model.schedule import SamplingSchedule, Step
from tpos_live.diffusion.sampling.composition import MAX_BATCH_SIZE, Composition
from tpos_live.diffusion.sampling.region_blend import RegionBlender
from tpos_live.diffusion.sampling.rows_in_turn import RowsInTurn
from tpos_live.diffusion.sampling.sampler import Sample, Sampler, SamplerInputs
from tpos_live.diffusion.sampling.step import StepState

Predict = Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]
"""The model at step n: (n, latent [1, C, H, W], timestep [1]) -> prediction [1, C, H, W]; may reuse its output."""


class SamplingLoop:
    """Runs schedules on latents of one shape, in buffers of its own, without allocation. Belongs to one thread."""

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """shape: [1, channels, height, width] of the latent. Latents are float32, whatever the model's precision."""
        self._state = StepState(shape, device)
        self._timestep = torch.empty(1, device=device)

    def run(
        self,
        plan: SamplingSchedule,
        predict: Predict,
        noise: torch.Tensor,
        last: torch.Tensor | None = None,
        fresh: Callable[[int], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Draw one latent; the result is the loop's own buffer, valid until the next run.

        noise, last: [1, C, H, W]. fresh(n): the noise that a consistency scheduler adds after step n.
        """
        state = self._state
        torch.mul(noise, plan.noise, out=state.x)
        if plan.last:
            assert last is not None
            state.x.add_(last, alpha=plan.last)
        for n, step in enumerate(plan.steps):
            self._timestep.fill_(step.timestep)
            state.predict(predict(n, state.x, self._timestep), step)
            if n == len(plan.steps) - 1 and not step.x_coef and not step.noise_coef and step.x0_coef == 1:
                return state.x0
            state.advance(step, fresh(n) if step.noise_coef and fresh is not None else None)
        return state.x0.copy_(state.x)


class EagerSampler(Sampler):
    """Draws a frame step by step with the UNet and the decoder of a backend."""

    def __init__(
        self, request: BackendRequest, backend: Backend, wait_for_compile: bool = False, in_turn: bool = False
    ) -> None:
        """wait_for_compile: wait until the backend can take a frame's batch size, for offline rendering. in_turn: draw
        one row of the batch per frame (`RowsInTurn`)."""
        engine = request.engine
        shape, device = engine.latent_shape(request.size), engine.device
        self.backend = backend
        self._wait = wait_for_compile
        self._loop = SamplingLoop(shape, device)
        self._blender = RegionBlender(shape, device, engine.packing > 1)
        self._turns = RowsInTurn(shape, device) if in_turn else None
        self._latents, self._predictions = (torch.zeros(MAX_BATCH_SIZE, *shape[1:], device=device) for _ in range(2))
        self._timesteps = torch.zeros(MAX_BATCH_SIZE, device=device)
        self._rows = torch.zeros(MAX_BATCH_SIZE, request.sequence_length, engine.token_dim, device=device)
        self._latent: torch.Tensor | None = None

    def sample(self, inputs: SamplerInputs) -> Sample:
        conditioning, composition = inputs.conditioning, inputs.conditioning.composition
        if composition.regions > 1:
            self._blender.prepare(conditioning.weights)
        if composition.batch_size > 1:
            conditioning.write_rows(self._rows)
        self.batch_reason = ""
        turns = self._turns if self._turns is not None and self._turns.fits(inputs) else None
        if turns is None and (composition.regions > 1 or composition.sounds):
            self.batch_reason = self.backend.prepare_batch_size(composition.batch_size, self._wait)

        predict = partial(self._predict, inputs, composition, turns)
        self._latent = self._loop.run(inputs.plan, predict, inputs.noise, inputs.last, inputs.fresh)
        if self._turns is not None and turns is None:
            self._turns.note(inputs, self._latent)
        return Sample(self._latent, inputs.params)

    def reset(self) -> None:
        if self._turns is not None:
            self._turns.forget()

    def fetch(self, out: np.ndarray) -> None:
        assert self._latent is not None
        self.backend.decode(self._latent, out)

    def _predict(
        self, inputs: SamplerInputs, composition: Composition, turns: RowsInTurn | None,
        n: int, x: torch.Tensor, timestep: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        conditioning = inputs.conditioning
        if turns is not None:
            predictions = turns.predict(
                inputs, x, lambda row: self.backend.predict(x, timestep, self._rows[row : row + 1])
            )
        elif composition.regions > 1 or composition.sounds_at(n):
            predictions = self._predict_rows(composition.batch_size, x, timestep, not self.batch_reason)
        elif composition.guided:  # a batch of two is no faster on a CPU; a card uses a captured graph
            predictions = self._predict_rows(2, x, timestep, False)
        else:
            return self.backend.predict(x, timestep, conditioning.prompts)
        step: Step = inputs.plan.steps[n]
        guide = conditioning.edit.guide if conditioning.edit is not None else None
        return composition.compose(n, x, predictions, step, conditioning.guidance, self._blender, guide)

    def _predict_rows(self, count: int, x: torch.Tensor, timestep: torch.Tensor, together: bool) -> torch.Tensor:
        """Predictions [count, C, h, w] at x [1, C, h, w] for the first `count` rows of conditioning. together: in one
        batch."""
        latents, timesteps = self._latents[:count], self._timesteps[:count]
        latents.copy_(x.expand_as(latents))
        timesteps.copy_(timestep.expand_as(timesteps))
        if together:
            return self.backend.predict(latents, timesteps, self._rows[:count])
        for n in range(count):
            row = slice(n, n + 1)
            self._predictions[row].copy_(self.backend.predict(latents[row], timesteps[row], self._rows[row]))
        return self._predictions[:count]
