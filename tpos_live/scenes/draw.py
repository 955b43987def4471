"""Draws a finished image of one scene, or of several scenes that share it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import torch

from tpos_live.scenes.base import Family
from tpos_live.scenes.finishing import MOODS, Mood, apply_mood, apply_style, film, glowing
from tpos_live.scenes.noise_fields import SHARE_CELLS, SHARE_CHANNEL, Fields, step


class SceneShare(NamedTuple):
    """A scene in an image. weight: above zero. colour: one of `palettes.HUES`. style: one of `finishing.STYLES`. mood:
    as in `finishing.MOODS`. apart: the scene has an area of its own; the light of other scenes is mixed."""

    family: Family
    weight: float = 1.0
    colour: str | None = None
    style: str = "natural"
    mood: Mood = MOODS["plain"]
    apart: bool = False


def share_mask(fields: Fields, shares: Sequence[float], rows: Sequence[int] = (0,)) -> torch.Tensor:
    """Mask of the second of two scenes in the images `rows` of the batch, float [rows, 1, 8h, 8w] in [0, 1].

    shares: the second scene's area, in [0, 1], one for each row.
    """
    cuts = [NormalDist().inv_cdf(min(max(1 - share, 1e-3), 1 - 1e-3)) for share in shares]
    cut = torch.tensor(cuts).to(fields.noise).view(-1, 1, 1, 1)
    return step(cut - 0.3, cut + 0.3, fields.soft(SHARE_CHANNEL, SHARE_CELLS)[list(rows)])


def draw_scenes(
    scenes: Sequence[SceneShare], noise: torch.Tensor, intensity: float, hue: float, phase: float
) -> torch.Tensor:
    """The image of `scenes`, at least one, uint8 [8h, 8w, 3] sRGB, as in Ember's training data.

    noise: float [1, 4, h, w], white, unit variance. intensity in [0, 1]; hue, phase: in turns. Scenes with `apart`
    share an area in proportion to their weights. In the rest of the image the light of the other scenes is mixed by
    weight. The whole image gets the styles of these other scenes.
    """
    fields = Fields(noise)
    under, over = ([scene for scene in scenes if scene.apart is apart] for apart in (False, True))
    if not under:
        under, over = over, []
    light = _mixed(under, fields, intensity, hue, phase)
    if over:
        mask = share_mask(fields, [sum(scene.weight for scene in over) / sum(scene.weight for scene in scenes)])
        light = torch.lerp(light, _mixed(over, fields, intensity, hue, phase), mask)
    image, shown = torch.zeros_like(light), film(light)
    for style, weight in _styles(under).items():
        image += weight * apply_style(shown, style)
    return (image[0].clamp(0, 1) * 255).round_().to(torch.uint8).permute(1, 2, 0)


def _mixed(scenes: Sequence[SceneShare], fields: Fields, intensity: float, hue: float, phase: float) -> torch.Tensor:
    """Linear light [1, 3, 8h, 8w] of scenes, mixed by their weights."""
    total = sum(scene.weight for scene in scenes)
    mixed = fields.noise.new_zeros(1, 3, *fields.size)
    values = fields.noise.new_tensor([[intensity, phase, hue]])
    for scene in scenes:
        turns = scene.family.turned(values[:, 2], scene.colour)
        light = scene.family.scene(fields, scene.family.parameters(values[:, 0], values[:, 1], turns))
        full = glowing(light)
        if scene.mood != MOODS["plain"]:
            full = apply_mood(full, full.new_tensor([scene.mood]))
        mixed += full * (scene.weight / total)
    return mixed


def _styles(scenes: Sequence[SceneShare]) -> dict[str, float]:
    """The weight of each style, sum 1."""
    total = sum(scene.weight for scene in scenes)
    found: dict[str, float] = {}
    for scene in scenes:
        found[scene.style] = found.get(scene.style, 0.0) + scene.weight / total
    return found
