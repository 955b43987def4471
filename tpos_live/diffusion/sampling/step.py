"""One step of a sampler, in place on fixed buffers; see `schedule` for the equations.

The coefficients of a step are Python numbers in a Python loop, and tensors in a captured graph, which would freeze
Python numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from tpos_live.diffusion.model.schedule import Step


class StepTensors(NamedTuple):
    """The coefficients of a step as tensors, each [] or [B, 1, 1, 1]: a row of `SamplingSchedule.rows`. `correct` is
    0, 0, 0 for a step without a corrector, None where no step has one."""

    timestep: torch.Tensor
    c_skip: torch.Tensor
    c_out: torch.Tensor
    x_coef: torch.Tensor
    x0_coef: torch.Tensor
    noise_coef: torch.Tensor
    correct: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None

    @classmethod
    def of(cls, row: torch.Tensor) -> StepTensors:
        """row: float32 [NUMBERS, ...]."""
        timestep, c_skip, c_out, x_coef, x0_coef, noise_coef, *correct = row.unbind()
        base, before, now = correct
        return cls(timestep, c_skip, c_out, x_coef, x0_coef, noise_coef, (base, before, now))


class StepState:
    """Latents of one sampler, float32 [B, C, h, w]: x, the step's input; x0, the predicted image; and both of the step
    before, for the corrector."""

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self.x, self.x0, self.x0_before, self.x_before = (torch.zeros(shape, device=device) for _ in range(4))

    def predict(self, prediction: torch.Tensor, step: Step | StepTensors) -> torch.Tensor:
        """Compute x0 from the model's prediction at x."""
        torch.mul(self.x, step.c_skip, out=self.x0)
        return _add_scaled(self.x0, prediction, step.c_out)

    def advance(self, step: Step | StepTensors, noise: torch.Tensor | None = None) -> None:
        """Compute x of the next step, after `predict`. noise: the one that a consistency scheduler adds."""
        x, x0 = self.x, self.x0
        if step.correct is not None:
            self._correct(step.correct)
        self.x_before.copy_(x)
        self.x0_before.copy_(x0)
        x.mul_(step.x_coef)
        _add_scaled(x, x0, step.x0_coef)
        if noise is not None:
            _add_scaled(x, noise, step.noise_coef)

    def _correct(self, numbers: tuple[float, float, float] | tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
        base, before, now = numbers
        if isinstance(base, torch.Tensor):
            corrected = base * self.x_before + before * self.x0_before + now * self.x0
            self.x.copy_(torch.where(base != 0, corrected, self.x))
        else:
            torch.mul(self.x_before, base, out=self.x)
            self.x.add_(self.x0_before, alpha=before).add_(self.x0, alpha=now)  # type: ignore[arg-type]


def _add_scaled(out: torch.Tensor, other: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
    """out += scale * other, in place."""
    return out.addcmul_(other, scale) if isinstance(scale, torch.Tensor) else out.add_(other, alpha=scale)
