"""One finished image of one scene."""

from __future__ import annotations

import torch

from tpos_live.scenes.base import Family
from tpos_live.scenes.finishing import bloom, film
from tpos_live.scenes.noise_fields import Fields


def draw_scene(family: Family, noise: torch.Tensor, intensity: float, hue: float, phase: float) -> torch.Tensor:
    """The image of `family` at one moment, uint8 [8h, 8w, 3] sRGB, as Ember was shown it in training.

    noise: float [1, 4, h, w], white, unit variance. intensity in [0, 1]; hue, phase: rounds.
    """
    values = noise.new_tensor([[intensity, phase, hue]])
    knobs = family.parameters(values[:, 0], values[:, 1], family.drifted(values[:, 2]))
    light = family.scene(Fields(noise), knobs)
    image = film(light.base + light.emit + bloom(light.emit))
    return (image[0].clamp(0, 1) * 255).round_().to(torch.uint8).permute(1, 2, 0)
