"""The rows of one guided prediction, in one call of the UNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from tpos_live.render.guidance import MOST_DIRECTIONS

if TYPE_CHECKING:
    from tpos_live.render.accelerators import Accelerator

MOST_ROWS = 2 + MOST_DIRECTIONS
"""With the prompt, without it, and the sounds."""


class Batch:
    """One latent under several conditionings, in buffers that stay. Belongs to the render thread.

    An accelerator whose `predict` is compiled for one row has a method `batch(rows, wait)`, which makes it ready for
    another number and says why it is not yet; the rows then go through it one by one, and `why` says so.
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

    def fill(self, prompt: torch.Tensor, without: torch.Tensor | None, sounds: torch.Tensor) -> None:
        """Take the conditionings of the next picture.

        prompt, without: [1, rows, dim]; without: of classifier-free guidance, None where it is off. sounds: [K,
        text rows, dim]; the rows behind, which hold the engine's scalars, are the prompt's.
        """
        rows = [prompt] if without is None else [prompt, without]
        first, self._count = len(rows), len(rows) + len(sounds)
        for n, row in enumerate(rows):
            self._tokens[n].copy_(row[0])
        self._tokens[first : self._count].copy_(prompt.expand(len(sounds), -1, -1))
        self.sounds = self._tokens[first : self._count]
        self.sounds[:, : sounds.shape[1]].copy_(sounds)

    def ready(self, accelerator: Accelerator, wait: bool) -> str:
        """Make `accelerator` ready for the rows; gives the new `why`. wait: until it is, for pictures made offline."""
        prepare: Callable[[int, bool], str] | None = getattr(accelerator, "batch", None)
        self.why = prepare(self._count, wait) if prepare is not None else ""
        return self.why

    def predict(self, accelerator: Accelerator, latent: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Predictions [count, C, h, w] of latent [1, C, h, w] at timestep [1]; may be overwritten by the next call."""
        latents, timesteps = self._latent[: self._count], self._timestep[: self._count]
        latents.copy_(latent.expand_as(latents))
        timesteps.copy_(timestep.expand_as(timesteps))
        if not self.why:
            return accelerator.predict(latents, timesteps, self._tokens[: self._count])
        for n in range(self._count):
            row = slice(n, n + 1)
            self._result[row].copy_(accelerator.predict(latents[row], timesteps[row], self._tokens[row]))
        return self._result[: self._count]
