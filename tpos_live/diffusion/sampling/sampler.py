"""The few-step loop: one plan, one noise, a handful of buffers, no allocation of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tpos_live.diffusion.model.schedule import Plan

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The model: (latent [1, C, H, W], timestep [1]) -> prediction [1, C, H, W]; may reuse its output."""


class Loop:
    """Runs plans on latents of one shape. Belongs to one thread."""

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """shape: [1, channels, height, width] of the latent. Latents are float32 whatever the model is."""
        self._x, self._x0, self._x0_before, self._base = (torch.empty(shape, device=device) for _ in range(4))
        self._timestep = torch.empty(1, device=device)

    def run(
        self,
        plan: Plan,
        predict: Predict,
        noise: torch.Tensor,
        last: torch.Tensor | None = None,
        fresh: Callable[[int], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Draw one latent; the result is the loop's own buffer, valid until the next run.

        noise, last: [1, C, H, W]. fresh(n): the noise that a consistency scheduler adds after step n.
        """
        x, x0 = self._x, self._x0
        torch.mul(noise, plan.noise, out=x)
        if plan.last:
            assert last is not None
            x.add_(last, alpha=plan.last)
        for n, step in enumerate(plan.steps):
            self._timestep.fill_(step.timestep)
            prediction = predict(x, self._timestep)
            torch.mul(x, step.skip, out=x0)
            x0.add_(prediction, alpha=step.out)
            if n == len(plan.steps) - 1 and not step.keep and not step.fresh and step.add == 1:
                break
            if step.correct is not None:
                base, before, now = step.correct
                torch.mul(self._base, base, out=x)
                x.add_(self._x0_before, alpha=before).add_(x0, alpha=now)
            self._base.copy_(x)
            self._x0_before.copy_(x0)
            x.mul_(step.keep).add_(x0, alpha=step.add)
            if step.fresh:
                assert fresh is not None
                x.add_(fresh(n), alpha=step.fresh)
        else:
            x0.copy_(x)
        return x0
