"""How near an accelerator's picture is to eager's: the test that it must pass before it may draw."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from tpos_live.diffusion.model.engine import Engine

LEAST = 35.0
"""Peak signal-to-noise ratio in dB that a picture must reach against eager's."""


class Draws(Protocol):
    """What is compared: an accelerator (see `accelerators.Accelerator`)."""

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor: ...

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None: ...


@torch.inference_mode()
def parity(candidate: Draws, reference: Draws, engine: Engine, size: tuple[int, int], tokens: int) -> float:
    """PSNR in dB of one picture, drawn in one step from the same noise by both; 120 where they are the same.

    A picture that is not finite, or all of one colour where the reference's is not, gives a low figure by itself.
    """
    generator = torch.Generator().manual_seed(1)
    shape = (1, engine.latent_channels, size[1] // engine.factor, size[0] // engine.factor)
    noise = torch.randn(shape, generator=generator).to(engine.device)
    states = engine.encode("blue sea").float()
    states = torch.cat([states, states.new_zeros(max(tokens - len(states), 0), states.shape[1])])[None, :tokens]
    step = engine.schedule.plan(1).steps[0]
    timestep = torch.tensor([step.timestep], device=engine.device)
    pictures: list[np.ndarray] = []
    for accelerator in (reference, candidate):
        prediction = accelerator.predict(noise, timestep, states.contiguous()).clone()
        out = np.zeros((size[1], size[0], 3), np.uint8)
        accelerator.decode(step.skip * noise + step.out * prediction, out)
        pictures.append(out)
    return psnr(*pictures)


def psnr(left: np.ndarray, right: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures of one shape, in dB; 120 where they are the same."""
    error = float(((left.astype(np.float64) - right) ** 2).mean())
    return float(10 * np.log10(255.0**2 / max(error, 255.0**2 * 1e-12)))
