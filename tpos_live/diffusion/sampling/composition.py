"""Combines the predictions of one step: regional blend, classifier-free guidance, and semantic guidance by sounds.

The rows of a batch, in order: the prompts of the regions, the negative prompt where guidance is on, and the sounds of
semantic guidance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.diffusion.model.schedule import Step
from tpos_live.diffusion.sampling.region_blend import RegionBlender
from tpos_live.diffusion.sampling.semantic_guidance import MAX_EDITS, SemanticGuide
from tpos_live.diffusion.sampling.step import StepTensors

MAX_BATCH_SIZE = MAX_REGIONS + 1 + MAX_EDITS
"""Rows of the largest batch."""


@dataclass(frozen=True)
class Composition:
    """How many rows of each kind a frame's batch has. warm: number of the first step that sounds edit."""

    regions: int = 1
    guided: bool = False
    sounds: int = 0
    warm: int = 0

    @property
    def batch_size(self) -> int:
        """Rows of all kinds."""
        return self.regions + self.guided + self.sounds

    def sounds_at(self, n: int) -> int:
        """Sounds that edit step `n`."""
        return self.sounds if n >= self.warm else 0

    def compose(
        self,
        n: int,
        x: torch.Tensor,
        predictions: torch.Tensor,
        step: Step | StepTensors,
        guidance: torch.Tensor | float,
        blender: RegionBlender,
        guide: SemanticGuide | None,
    ) -> torch.Tensor:
        """The combined prediction [1, C, h, w] of step `n` at x [1, C, h, w].

        predictions: [rows, C, h, w]; the rows of sounds may be missing where no sound edits the step. guidance: the
        scale of classifier-free guidance (Ho and Salimans 2022).
        """
        if self.regions > 1:
            blended = blender.blend(n == 0, x, predictions[: self.regions], step.c_skip, step.c_out)
            predictions = torch.cat([blended, predictions[self.regions :]])
        if self.sounds_at(n) and guide is not None:
            return guide.apply(n, predictions, guidance if self.guided else None)
        if self.guided:
            return classifier_free(predictions[:1], predictions[1:2], guidance)
        return predictions[:1]


def classifier_free(prompt: torch.Tensor, negative: torch.Tensor, guidance: torch.Tensor | float) -> torch.Tensor:
    """The guided prediction from predictions with the prompt and with the negative one, [B, C, h, w] each."""
    return torch.lerp(negative, prompt, guidance)
