"""The interface of all samplers: the inputs of a frame, its latent, and its pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.model.schedule import SamplingSchedule
from tpos_live.diffusion.sampling.composition import Composition
from tpos_live.diffusion.sampling.semantic_guidance import SemanticGuide


@dataclass(frozen=True)
class Edit:
    """Semantic guidance of one frame. prompt_embeds: of the K sounds, float32 [K, text rows, token_dim]. warm: index of
    the first step that is edited."""

    guide: SemanticGuide
    prompt_embeds: torch.Tensor
    warm: int


@dataclass(frozen=True)
class FrameConditioning:
    """The UNet's conditioning for a frame, in buffers that are valid until the next frame.

    prompts: float32 [regions, rows, token_dim]. weights: one for each, sum 1. negative: the negative prompt, float32
    [1, rows, token_dim]; None where classifier-free guidance is off. guidance: its scale. rcfg: scale of residual
    guidance, 1 = off (see `SamplingSchedule.with_rcfg`).
    """

    prompts: torch.Tensor
    weights: tuple[float, ...] = (1.0,)
    negative: torch.Tensor | None = None
    guidance: float = 1.0
    rcfg: float = 1.0
    edit: Edit | None = None

    @property
    def composition(self) -> Composition:
        guided = self.negative is not None and self.guidance > 1.0
        sounds, warm = (len(self.edit.prompt_embeds), self.edit.warm) if self.edit is not None else (0, 0)
        return Composition(len(self.prompts), guided, sounds, warm)

    def write_rows(self, out: torch.Tensor) -> None:
        """Write the conditioning of every row of the batch to `out` [MAX_BATCH_SIZE, rows, token_dim].

        A sound takes its last rows, which hold the engine's scalars, from the prompt.
        """
        count = len(self.prompts)
        out[:count].copy_(self.prompts)
        if self.negative is not None and self.guidance > 1.0:
            out[count].copy_(self.negative[0])
            count += 1
        if self.edit is not None:
            embeds = self.edit.prompt_embeds
            sounds = out[count : count + len(embeds)]
            sounds.copy_(self.prompts[:1].expand(len(embeds), -1, -1))
            sounds[:, : embeds.shape[1]].copy_(embeds)


@dataclass(frozen=True)
class SamplerInputs:
    """Everything that one frame is drawn from.

    plan: the schedule. noise, last: float32 [1, C, h, w]; last: the latent that is mixed with noise at the start, None
    for noise alone. fresh(n): the noise that a consistency scheduler adds after step n. params: the frame's record of
    the modulation. scene: frames in flight are discarded when it changes.
    """

    plan: SamplingSchedule
    noise: torch.Tensor
    conditioning: FrameConditioning
    last: torch.Tensor | None = None
    fresh: Callable[[int], torch.Tensor] | None = None
    params: FrameParams = FrameParams()  # noqa: RUF009  # frozen
    scene: object = None


@dataclass(frozen=True)
class Sample:
    """A finished latent, float32 [1, C, h, w], and the record of its frame. The next sample overwrites the latent."""

    latent: torch.Tensor
    params: FrameParams


class Sampler(ABC):
    """Draws frames of one size with one backend. Belongs to one thread.

    batch_reason: why the UNet computed the rows of the newest frame one by one; "" where it took them as one batch.
    """

    batch_reason: str = ""

    @abstractmethod
    def sample(self, inputs: SamplerInputs) -> Sample | None:
        """Draw one latent; None where none is finished yet."""

    def send(self, out: np.ndarray) -> None:
        """Queue the decoder for the newest latent, on an asynchronous device. out: as for `fetch`."""
        return

    @abstractmethod
    def fetch(self, out: np.ndarray) -> None:
        """Write the newest latent's pixels to `out`, uint8 [H, W, 3], and wait for them. Call `send` before."""

    def reset(self) -> None:
        """Discard what is kept for later frames."""
        return
