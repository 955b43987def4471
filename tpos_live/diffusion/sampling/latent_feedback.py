"""Latent feedback: the last latent as the start of the next frame, without a loss of quality over many frames.

Repeated image-to-image on latents drifts: each pass leaves a small error in the statistics of the latent, and after a
thousand passes frames are grey, overexposed or oversaturated. Two measures prevent that. At least a tenth of the
schedule is always drawn again, so the UNet renews the details. And each channel's mean and standard deviation are
pulled towards those of a draft: a latent drawn from noise alone with the current prompt, at most every 32 frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F

from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.model.schedule import Schedule
from tpos_live.diffusion.sampling.noise_field import Shift
from tpos_live.diffusion.sampling.sampler import SamplerInputs

_LEAST_STRENGTH = 0.1
_BELOW = 0.999
"""Strength from which on a frame is drawn from noise alone."""
PULL = 0.2
"""Share of the difference from the draft's statistics that one frame corrects."""
DRAFT_EVERY = 128
"""Frames between two drafts; after a change of the prompt a quarter of that."""
MOVED = 0.1
"""Relative change of the tokens that counts as a change of the prompt."""


def strength_of(params: FrameParams) -> float:
    """Share of the schedule that is drawn again: at least _LEAST_STRENGTH."""
    return max(params.strength, _LEAST_STRENGTH)


def feeds_back(params: FrameParams) -> bool:
    """Whether a frame starts from the last one."""
    return strength_of(params) < _BELOW


class LatentFeedback:
    """The last latent and the statistics it must keep. Belongs to the render thread."""

    def __init__(self, schedule: Schedule, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """schedule: the engine's. shape: of the latent, [1, C, h, w]."""
        self._schedule = schedule
        channels, height, width = shape[1:]
        self._last = torch.empty(shape, device=device)
        self._shift = Shift(height, width, device)
        self._mean = torch.zeros(1, channels, 1, 1, device=device)
        self._deviation = torch.ones(1, channels, 1, 1, device=device)
        self._tokens: torch.Tensor | None = None
        self._frame_params: FrameParams | None = None
        self._age = 0
        self._invalid = False

    def reset(self) -> None:
        """Forget the last frame; the next one is drawn from noise alone."""
        self._frame_params = None
        self._tokens = None

    def applied(
        self, inputs: SamplerInputs, tokens: torch.Tensor, draw: Callable[[SamplerInputs], torch.Tensor]
    ) -> SamplerInputs:
        """The inputs with the last frame as start, where the strength asks for it and the last frame is of the same
        scene; else the inputs unchanged. Call it once a frame. tokens: of the prompt, [1, T, D]. draw: draws a draft.
        """
        params, rcfg = inputs.params, inputs.conditioning.rcfg
        if not feeds_back(params):
            return inputs
        if self._wants_draft(tokens):
            alone = replace(inputs.conditioning, prompts=tokens, weights=(1.0,), edit=None)
            draft = SamplerInputs(self._schedule.plan(1).with_rcfg(rcfg), inputs.noise, alone)
            self.set_reference(draw(draft), tokens)
        if not self._ready(params):
            return inputs
        plan = self._schedule.plan(len(inputs.plan.steps), strength_of(params)).with_rcfg(rcfg)
        return replace(inputs, plan=plan, last=self.start(params))

    def invalidate(self) -> None:
        """Note that the model has changed: the next draft comes as early as after a change of the prompt."""
        self._invalid = True

    def set_reference(self, draft: torch.Tensor, tokens: torch.Tensor) -> None:
        """Take a latent drawn from noise alone as the reference."""
        first = self._tokens is None
        for kept, new in (
            (self._mean, draft.mean((2, 3), keepdim=True)),
            (self._deviation, draft.std((2, 3), keepdim=True)),
        ):
            # A copy and not lerp with weight 1: the old values may not be finite, and 0 * NaN is NaN.
            kept.copy_(new) if first else kept.lerp_(new, 0.5)
        self._tokens = tokens.clone() if first else self._tokens.copy_(tokens)  # type: ignore[union-attr]
        self._age, self._invalid = 0, False

    def keep(self, latent: torch.Tensor, params: FrameParams) -> None:
        """Remember the latent that was just drawn."""
        self._last.copy_(latent)
        self._frame_params = params

    def start(self, params: FrameParams) -> torch.Tensor:
        """The last latent, moved with the camera, its statistics pulled towards the reference."""
        assert self._frame_params is not None
        last, before = self._last, self._frame_params
        right, up = params.pan_x - before.pan_x, params.pan_y - before.pan_y
        if right or up:
            spectrum = torch.fft.rfft2(last[0], norm="ortho")
            self._shift.turn(spectrum, *self._shift.pixels(right, up))
            last.copy_(torch.fft.irfft2(spectrum, s=last.shape[2:], norm="ortho")[None])
        octaves = params.zoom_steady - before.zoom_steady
        if octaves:
            last.copy_(_zoom(last, octaves))
        mean, deviation = last.mean((2, 3), keepdim=True), last.std((2, 3), keepdim=True)
        gain = (self._deviation / deviation.clamp_min(1e-4)).clamp_(0.25, 4.0) ** PULL
        return last.sub_(mean).mul_(gain).add_(mean.lerp_(self._mean, PULL))

    def _ready(self, params: FrameParams) -> bool:
        """Whether there is a last frame, without a cut since."""
        return self._frame_params is not None and self._frame_params.cut_index == params.cut_index

    def _wants_draft(self, tokens: torch.Tensor) -> bool:
        """Whether the reference statistics are missing, too old, invalidated, or of another prompt than `tokens`
        [1, T, D]. Call it once a frame."""
        self._age += 1
        if self._tokens is None or self._age >= DRAFT_EVERY:
            return True
        if self._age < DRAFT_EVERY // 4:
            return False
        return self._invalid or bool((tokens - self._tokens).norm() > MOVED * self._tokens.norm())


def _zoom(latent: torch.Tensor, octaves: float) -> torch.Tensor:
    """Enlarge about the centre by 2 ** octaves, bicubic, with reflection at the edges."""
    scale = 2.0**-octaves
    turn = latent.new_tensor([[[scale, 0.0, 0.0], [0.0, scale, 0.0]]])
    grid = F.affine_grid(turn, list(latent.shape), align_corners=False)
    return F.grid_sample(latent, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
