"""What every sampler takes and gives: the numbers and tensors of a frame in, its latent and its pixels out."""

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
    """Semantic guidance of one frame. prompt_embeds: float32 [K, text rows, token_dim], of the sounds. warm: first
    step that is edited."""

    guide: SemanticGuide
    prompt_embeds: torch.Tensor
    warm: int


@dataclass(frozen=True)
class FrameConditioning:
    """What the UNet is given for a frame; buffers, valid until the next one.

    prompts: float32 [regions, rows, token_dim], with a weight for each, one in sum. negative: float32 [1, rows,
    token_dim], what guidance leads away from, None where classifier-free guidance is off. rcfg: scale of residual
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

        The last rows of a sound, which hold the engine's scalars, are the prompt's.
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
    """All that one frame is drawn from.

    plan: the schedule. noise, last: float32 [1, C, h, w]; last: what the frame starts from beside noise. fresh(n): the
    noise that a consistency scheduler adds after step n. params: the moment that the frame belongs to. scene: when it
    changes, frames in flight are forgotten.
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
    """A finished latent, float32 [1, C, h, w], and the moment that it belongs to. The next one overwrites it."""

    latent: torch.Tensor
    params: FrameParams


class Sampler(ABC):
    """Draws frames of one size with one backend. Belongs to one thread.

    batch_reason: why the rows of the newest frame went through the UNet one by one; "" where they went at once.
    """

    batch_reason: str = ""

    @abstractmethod
    def sample(self, inputs: SamplerInputs) -> Sample | None:
        """Draw one latent; None where none is finished yet."""

    def send(self, out: np.ndarray) -> None:
        """Queue the decoder for the newest latent, where it works by itself. out: uint8 [H, W, 3], as for `fetch`."""
        return

    @abstractmethod
    def fetch(self, out: np.ndarray) -> None:
        """The newest latent's pixels, uint8 [H, W, 3], to `out`, once `send` was called; waits for them."""

    def reset(self) -> None:
        """Forget what later frames would go on from."""
        return
