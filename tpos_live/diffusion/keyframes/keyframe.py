"""A keyframe: a latent from the UNet, with the backend that decodes it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.backend import Backend
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

LONGEST_STEP = 1.0
"""Longest distance between two keyframes along the noise trajectory. Noises further apart have little in common:
nothing would move between them, one image would only replace the other."""


@dataclass(frozen=True)
class Keyframe:
    """latent: float32 [1, C, h, w], never overwritten. params: the record that it was drawn for. backend: decodes it
    to `size` = (width, height). detail, vivid: see `Frame`."""

    latent: torch.Tensor
    params: FrameParams
    backend: Backend
    size: tuple[int, int]
    detail: float = 0.0
    vivid: float = 0.0


class KeyframeGenerator:
    """Draws keyframes with a frame generator. Belongs to the thread that owns the generator.

    Keyframes follow the modulation's noise trajectory, by at most LONGEST_STEP from one to the next; after a cut (see
    `FrameParams`) they begin at the modulation's position.
    """

    def __init__(self) -> None:
        self._last: FrameParams | None = None
        self._position = 0.0

    def draw(self, generator: FrameGenerator, request: FrameRequest) -> Keyframe:
        """The keyframe for one request. Raises what the generator raises."""
        params = replace(request.params, noise_position=self._follow(request.params))
        sample = generator.sample(replace(request, params=params))
        about = generator.engine.metadata
        shown = generator.backend, generator.size, about.detail, about.vivid
        return Keyframe(sample.latent.clone(), sample.params, *shown)

    def _follow(self, params: FrameParams) -> float:
        """The position on the noise trajectory for a keyframe with these params."""
        last = self._last
        if last is None or last.cut_index != params.cut_index:
            self._position = params.noise_position
        else:
            moved = params.noise_position - last.noise_position
            self._position += min(max(moved, -LONGEST_STEP), LONGEST_STEP)
        self._last = params
        return self._position
