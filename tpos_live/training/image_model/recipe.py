"""Recipes of training images: a random recipe is rendered to an image and described by captions and scalars.

A recipe and the noise determine every pixel. The captions name family, style, colour and mood; the scalars give
intensity, hue, phase and the share of a second scene; audio tokens add a mood with a weight.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tpos_live.diffusion.model.metadata import Scalar
from tpos_live.diffusion.sampling.region_blend import shares
from tpos_live.scenes.base import HUE_RATE, PHASE_RATE, SceneParameters
from tpos_live.scenes.draw import share_mask
from tpos_live.scenes.families import FAMILIES
from tpos_live.scenes.finishing import MOODS, STYLES, apply_mood, apply_style, film, glowing
from tpos_live.scenes.noise_fields import Fields
from tpos_live.training.text.captions import COLOURS, MOOD_PHRASES, caption

SCALARS = (
    Scalar(name="intensity", source="intensity"),
    Scalar(name="hue", source="seed", rate=HUE_RATE, cyclic=True),
    Scalar(name="phase", source="clock", rate=PHASE_RATE, cyclic=True),
    Scalar(name="share", source="share"),
)
"""A scene's position and rotation are no scalars, though scenes have them: a convolutional UNet can infer positions
only from the image borders and learns them slowly. After a short training every scene stayed in the middle.
"""
PLAIN = (0.6, 0.0, 0.0)
"""Default intensity, hue and phase."""


ALIKE = 0.06
"""Random numbers of `draw` below this give one scene that two prompts name in different words."""
PAIRS = 0.45
"""Random numbers of `draw` below this give an image of two prompts, or of a prompt and a sound."""
FADES = 0.7
"""Share of the images of two prompts whose tokens are those of a crossfade (see `diffusion.sampling.unet_tokens`). The
share of the area alone does not cover the ends of a crossfade, where a prompt appears or disappears."""


@dataclass
class Recipe:
    """One image. family, second: its scenes. share: part of the area that `second` covers, in [0, 1].

    texts: one caption, or the prompts of both scenes. weight: of the second prompt in a crossfade, which `paired` then
    turns into tokens; None otherwise. voice: the text of the audio tokens, "" for silence; loud: their weight in
    [0, 1]; heard: the mood that `voice` names, a key of MOODS. scalars: intensity, hue and phase.
    """

    family: str
    second: str | None = None
    share: float = 0.0
    style: str = "natural"
    mood: str = "plain"
    colour: str | None = None
    texts: tuple[str, ...] = ("",)
    weight: float | None = None
    voice: str = ""
    loud: float = 0.0
    heard: str | None = None
    scalars: tuple[float, ...] = field(default=PLAIN)


def draw(rng: random.Random, families: Sequence[str] = tuple(FAMILIES)) -> Recipe:
    """A random recipe."""
    family = rng.choice(families)
    style = "natural" if rng.random() < 0.75 else rng.choice(STYLES[1:])
    mood = "plain" if rng.random() < 0.8 else rng.choice(list(MOODS)[1:])
    colour = rng.choice(list(COLOURS)) if rng.random() < 0.15 and style in ("natural", "neon", "pastel") else None
    others = [name for name in families if name != family]
    other = rng.choice(others or [family])
    recipe = Recipe(family, style=style, mood=mood, colour=colour)
    kind = rng.random() if others else 1.0
    if kind < 0.04:  # two scenes in one caption
        recipe.second, recipe.share = other, 0.5
        recipe.texts = (caption(rng, family, style, mood, colour, other),)
    elif kind < PAIRS:  # two prompts that share the image, or a prompt and a sound
        recipe.second, recipe.share = other, rng.random()
        if kind < ALIKE:
            recipe.second = family
        if rng.random() < FADES:
            recipe.weight = rng.random()
            recipe.share = shares([1 - recipe.weight, recipe.weight])[1]
        recipe.texts = tuple(caption(rng, name, style, mood, colour, None) for name in (family, recipe.second))
    else:
        recipe.texts = (caption(rng, family, style, mood, colour, None),)
    if rng.random() < 0.2:
        recipe.loud, recipe.heard = rng.random(), rng.choice(list(MOOD_PHRASES))
        recipe.voice = rng.choice(MOOD_PHRASES[recipe.heard])
    intensity = min(max(rng.random() * 1.1 - 0.05, 0.0), 1.0)
    recipe.scalars = (intensity, *(rng.random() for _ in PLAIN[1:]))
    return recipe


def scene_parameters(recipes: list[Recipe], family: str, device: torch.device) -> SceneParameters:
    """The recipes' scalars and colours as parameters of a scene of `family`."""
    values = torch.tensor([recipe.scalars for recipe in recipes])
    kind = FAMILIES[family]
    # On the CPU: a GPU would launch a kernel for each number.
    turns = torch.stack([kind.turned(hue, recipe.colour) for hue, recipe in zip(values[:, 1], recipes, strict=True)])
    return kind.parameters(values[:, 0].to(device), values[:, 2].to(device), turns.to(device))


def _moods(recipes: list[Recipe], device: torch.device) -> torch.Tensor:
    """Exposure, saturation and contrast [batch, 3]: the caption's mood, interpolated towards that of the audio tokens
    by their weight."""
    rows = []
    for recipe in recipes:
        mood = torch.tensor(MOODS[recipe.mood]).log()
        if recipe.heard is not None:
            mood = torch.lerp(mood, torch.tensor(MOODS[recipe.heard]).log(), recipe.loud)
        rows.append(mood.exp())
    return torch.stack(rows).to(device)


def render(noise: torch.Tensor, recipes: list[Recipe]) -> torch.Tensor:
    """Images float [batch, 3, 8h, 8w] in [0, 1] of noise [batch, 4, h, w]."""
    device = noise.device
    batch, _, h, w = noise.shape
    light = noise.new_zeros(batch, 3, 8 * h, 8 * w)
    for family, kind in FAMILIES.items():
        first = [i for i, recipe in enumerate(recipes) if recipe.family == family and recipe.share < 1]
        second = [i for i, recipe in enumerate(recipes) if recipe.second == family and recipe.share > 0]
        rows = first + second
        if not rows:
            continue
        fields = Fields(noise[rows])
        full = glowing(kind.scene(fields, scene_parameters([recipes[i] for i in rows], family, device)))
        mixed = [at for at, i in enumerate(rows) if recipes[i].second is not None]
        if mixed:
            covered = share_mask(fields, [recipes[rows[at]].share for at in mixed], mixed)
            over = torch.tensor([at >= len(first) for at in mixed], device=device).view(-1, 1, 1, 1)
            full[mixed] *= torch.where(over, covered, 1 - covered)
        # Added one after the other, because both scenes of an image may be of this family.
        for part, part_of in ((full[: len(first)], first), (full[len(first) :], second)):
            light[part_of] += part
    image = film(apply_mood(light, _moods(recipes, device)))
    for style in STYLES[1:]:
        rows = [i for i, recipe in enumerate(recipes) if recipe.style == style]
        if rows:
            image[rows] = apply_style(image[rows], style)
    return image.clamp(0, 1)
