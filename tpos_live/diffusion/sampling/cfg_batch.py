"""The rows of one guided prediction, in one call of the UNet."""

from __future__ import annotations

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.diffusion.model.backend import Backend
from tpos_live.diffusion.sampling.semantic_guidance import MOST_DIRECTIONS

MOST_ROWS = MAX_REGIONS + 1 + MOST_DIRECTIONS
"""With the prompts, without them, and the sounds."""


class Batch:
    """One latent under several conditionings, in buffers that stay. Belongs to the render thread.

    Where a backend is not ready for so many rows at once, they go through it one by one, and `why` says so.
    """

    def __init__(self, shape: tuple[int, int, int, int], rows: int, dim: int, device: torch.device) -> None:
        """shape: [1, C, h, w] of the latent. rows, dim: of a conditioning."""
        self._latent = torch.zeros(MOST_ROWS, *shape[1:], device=device)
        self._timestep = torch.zeros(MOST_ROWS, device=device)
        self._result = torch.zeros(MOST_ROWS, *shape[1:], device=device)
        self._tokens = torch.zeros(MOST_ROWS, rows, dim, device=device)
        self._count = 0
        self.why = ""
        """Why the rows go one by one; "" where they go at once."""

    def fill(self, prompts: torch.Tensor, without: torch.Tensor | None, sounds: torch.Tensor | None) -> None:
        """Take the conditionings of the next picture.

        prompts: [1 to MAX_REGIONS, rows, dim]. without: [1, rows, dim], of classifier-free guidance, None where it is
        off. sounds: [K, text rows, dim], None where none lead; the rows behind, which hold the engine's scalars, are
        the prompts'.
        """
        first = len(prompts)
        self._tokens[:first].copy_(prompts)
        if without is not None:
            self._tokens[first].copy_(without[0])
            first += 1
        self._count = first + (0 if sounds is None else len(sounds))
        self.sounds = self._tokens[first : self._count]
        if sounds is not None:
            self.sounds.copy_(prompts[:1].expand(len(sounds), -1, -1))
            self.sounds[:, : sounds.shape[1]].copy_(sounds)

    def ready(self, backend: Backend, wait: bool) -> str:
        """Make `backend` ready for the rows; gives the new `why`. wait: until it is, for pictures made offline."""
        self.why = backend.prepare_batch_size(self._count, wait)
        return self.why

    def predict(self, backend: Backend, latent: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Predictions [count, C, h, w] of latent [1, C, h, w] at timestep [1]; may be overwritten by the next call."""
        latents, timesteps = self._latent[: self._count], self._timestep[: self._count]
        latents.copy_(latent.expand_as(latents))
        timesteps.copy_(timestep.expand_as(timesteps))
        if not self.why:
            return backend.predict(latents, timesteps, self._tokens[: self._count])
        for n in range(self._count):
            row = slice(n, n + 1)
            self._result[row].copy_(backend.predict(latents[row], timesteps[row], self._tokens[row]))
        return self._result[: self._count]
