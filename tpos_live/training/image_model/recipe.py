"""What is in an image, and the image itself: a recipe is drawn at random, rendered, and told in words.

A recipe and the noise decide every pixel. Words give family, style, colour and mood; scalars give
what averages of the noise cannot; audio tokens add a mood or a second family with a weight.
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
"""Where a scene stands and how it is turned could be scalars too (Knobs has them), but a convolutional UNet has
to guess places from the borders and learns them slowly: with little time, every scene stands still in the middle.
"""
PLAIN = (0.6, 0.0, 0.0)
"""Intensity, hue and phase where nothing is said of them."""


ALIKE = 0.06
"""Images whose kind is below this show one scene that two prompts name in different words."""
PAIRS = 0.45
"""Images whose kind is below this show two prompts, or a prompt and a sound."""
FADES = 0.7
"""Part of the images of two prompts that are told as a fade tells them (see `diffusion.sampling.unet_tokens`). A share
of the area alone says nothing of the ends of a fade, where one prompt comes or goes."""


@dataclass
class Recipe:
    """One image. share: part of the area that `second` covers, in [0, 1].

    texts: one caption, or the prompts of both scenes. weight: of the second prompt where the image is one of a fade
    between the two, None elsewhere; the UNet is then told what `paired` makes of it. voice: the mood that the audio
    tokens tell, with weight `loud` in [0, 1]; empty for silence. heard: what it means. scalars: intensity, hue and
    phase.
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
    if kind < 0.04:  # said in one caption
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


def knobs(recipes: list[Recipe], family: str, device: torch.device) -> SceneParameters:
    """The recipes' scalars and colours as a scene of `family` takes them."""
    values = torch.tensor([recipe.scalars for recipe in recipes])
    kind = FAMILIES[family]
    # On the CPU first: a card would start a kernel for each number.
    turns = torch.stack([kind.turned(hue, recipe.colour) for hue, recipe in zip(values[:, 1], recipes, strict=True)])
    return kind.parameters(values[:, 0].to(device), values[:, 2].to(device), turns.to(device))


def _moods(recipes: list[Recipe], device: torch.device) -> torch.Tensor:
    """Exposure, saturation and contrast [batch, 3]: the caption's, moved towards the voice's by its weight."""
    rows = []
    for recipe in recipes:
        said = torch.tensor(MOODS[recipe.mood]).log()
        if recipe.heard is not None:
            said = torch.lerp(said, torch.tensor(MOODS[recipe.heard]).log(), recipe.loud)
        rows.append(said.exp())
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
        full = glowing(kind.scene(fields, knobs([recipes[i] for i in rows], family, device)))
        mixed = [at for at, i in enumerate(rows) if recipes[i].second is not None]
        if mixed:
            covered = share_mask(fields, [recipes[rows[at]].share for at in mixed], mixed)
            over = torch.tensor([at >= len(first) for at in mixed], device=device).view(-1, 1, 1, 1)
            full[mixed] *= torch.where(over, covered, 1 - covered)
        # One after the other: two scenes of one family may share an image.
        for part, part_of in ((full[: len(first)], first), (full[len(first) :], second)):
            light[part_of] += part
    image = film(apply_mood(light, _moods(recipes, device)))
    for style in STYLES[1:]:
        rows = [i for i, recipe in enumerate(recipes) if recipe.style == style]
        if rows:
            image[rows] = apply_style(image[rows], style)
    return image.clamp(0, 1)
