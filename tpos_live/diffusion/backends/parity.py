"""Compares a backend's frame with eager's by PSNR; a backend must pass before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.core.errors import NotReady
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.schedule import SamplingSchedule
from tpos_live.diffusion.sampling.captured import CapturedBackend
from tpos_live.diffusion.sampling.sampler import FrameConditioning, SamplerInputs

MIN_PSNR = 35.0
"""Peak signal-to-noise ratio in dB that a frame must reach against eager's."""


class Draws(Protocol):
    """A `Backend`, or any object with its two methods."""

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor: ...

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None: ...


@dataclass(frozen=True)
class Example:
    """Fixed inputs of a frame with one step: noise float32 [1, C, h, w], timestep [1], tokens float32 [1, T, D]."""

    plan: SamplingSchedule
    noise: torch.Tensor
    timestep: torch.Tensor
    tokens: torch.Tensor
    size: tuple[int, int]

    @classmethod
    def of(cls, request: BackendRequest) -> Example:
        """The same for every backend: fixed noise, the prompt "blue sea", zeros for the other rows."""
        engine = request.engine
        noise = torch.randn(engine.latent_shape(request.size), generator=torch.Generator().manual_seed(1))
        tokens = torch.zeros(1, request.sequence_length, engine.token_dim, device=engine.device)
        states = engine.texts.encode("blue sea").float()[: request.sequence_length]
        tokens[0, : len(states)] = states
        plan = engine.schedule.plan(1)
        timestep = torch.tensor([plan.steps[0].timestep], device=engine.device)
        return cls(plan, noise.to(engine.device), timestep, tokens, request.size)

    @torch.inference_mode()
    def draw(self, backend: Draws) -> np.ndarray:
        """The frame, uint8 [H, W, 3], by `predict` and `decode`."""
        step, start = self.plan.steps[0], self.plan.noise * self.noise
        out = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        backend.decode(step.c_skip * start + step.c_out * backend.predict(start, self.timestep, self.tokens), out)
        return out


def parity(candidate: Draws, reference: Draws, request: BackendRequest) -> float:
    """PSNR in dB of one frame, which both draw in one step from the same noise; 120 where the frames are equal.

    A frame with values that are not finite, or of one colour only, has a low PSNR anyway.
    """
    example = Example.of(request)
    return psnr(example.draw(reference), example.draw(candidate))


def require_parity(name: str, found: float) -> float:
    """Returns the PSNR `found`. Raises NotReady with one line where it is below MIN_PSNR. name: of the backend."""
    if found < MIN_PSNR:
        raise NotReady(f"{name} draws another frame than eager here ({found:.1f} dB); it is not used")
    return found


def verify_captured(made: CapturedBackend, eager: Draws, request: BackendRequest) -> float:
    """Capture the graphs of every kind of frame that the engine allows, and compare one frame with eager's: PSNR in dB.

    With `minimal_capture` only those with the fewest steps, in half of the time or less; others are captured when they
    are first drawn. Raises NotReady with one line where the frames differ.
    """
    example, engine = Example.of(request), request.engine
    noise, tokens = example.noise, example.tokens
    # The simplest frame first: its memory in the graphs' shared pool is then contiguous, and fits a card's cache best.
    allowed = sorted(set(engine.metadata.steps) & set(range(1, 5)))
    for steps in allowed[:1] if request.minimal_capture else allowed:
        for guidance in (1.0, 2.0) if engine.metadata.guidance else (1.0,):
            plan, without = engine.schedule.plan(steps), tokens if guidance > 1 else None
            for scenes in range(1, MAX_REGIONS + 1):  # prompts that share a frame, during a fade or always
                prompts, weights = tokens.expand(scenes, -1, -1), (1 / scenes,) * scenes
                conditioning = FrameConditioning(prompts, weights, without, guidance)
                made.pipeline.draw(SamplerInputs(plan, noise, conditioning, fresh=lambda _n: noise))
    made.pipeline.draw(SamplerInputs(example.plan, noise, FrameConditioning(tokens)))
    whole = np.zeros((request.size[1], request.size[0], 3), np.uint8)
    made.fetch(whole)
    expected = example.draw(eager)
    return require_parity(made.name, min(psnr(whole, expected), psnr(example.draw(made), expected)))


def psnr(left: np.ndarray, right: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 images of one shape, in dB; 120 where they are equal."""
    error = float(((left.astype(np.float64) - right) ** 2).mean())
    return float(10 * np.log10(255.0**2 / max(error, 255.0**2 * 1e-12)))
