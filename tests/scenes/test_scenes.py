"""Scenes depend on the noise and the scene parameters only."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import torch

from tpos_live.scenes.families import FAMILIES
from tpos_live.scenes.finishing import MOODS, STYLES, apply_mood, apply_style
from tpos_live.scenes.noise_fields import Fields, smooth
from tpos_live.scenes.palettes import linear_to_oklab, oklab_to_linear
from tpos_live.training.image_model.recipe import PLAIN, Recipe, draw, render

NOISE = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3))


def _at(family: str, intensity: float, **other: object) -> Recipe:
    return Recipe(family, scalars=(intensity, *PLAIN[1:]), **other)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scene_is_finite_in_range_and_the_same_twice(family: str) -> None:
    first = render(NOISE, [_at(family, 0.2), _at(family, 0.9)])
    assert first.shape == (2, 3, 128, 128)
    assert first.isfinite().all() and first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, render(NOISE, [_at(family, 0.2), _at(family, 0.9)]))
    assert first.std() > 0.03, "a flat picture"


@pytest.mark.parametrize("family", FAMILIES)
def test_intensity_changes_the_image(family: str) -> None:
    images = render(NOISE[:1].repeat(3, 1, 1, 1), [_at(family, m) for m in (0.0, 0.5, 1.0)])
    assert (images[0] - images[1]).abs().mean() > 0.01
    assert (images[1] - images[2]).abs().mean() > 0.01
    assert (images[0] - images[2]).abs().mean() > 0.03


@pytest.mark.parametrize("family", FAMILIES)
def test_the_noise_decides_the_image(family: str) -> None:
    a, b = render(NOISE, [_at(family, 0.7), _at(family, 0.7)])
    assert (a - b).abs().mean() > 0.008


def test_a_wide_image_has_eight_pixels_a_cell() -> None:
    noise = torch.randn(1, 4, 16, 28)
    assert render(noise, [_at("ocean", 0.5)]).shape == (1, 3, 128, 224)


def test_a_shift_of_the_noise_shifts_the_field() -> None:
    noise = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(5))
    still = smooth(noise, 1.5)
    moved = smooth(torch.roll(noise, 3, dims=2), 1.5)
    inside = slice(8, 24)
    assert torch.allclose(torch.roll(still, 3, dims=2)[..., inside, inside], moved[..., inside, inside], atol=1e-5)


def test_fields_have_unit_variance_up_to_the_border() -> None:
    noise = torch.randn(400, 1, 12, 12, generator=torch.Generator().manual_seed(5))
    spread = smooth(noise, (2.0, 1.0)).std(dim=0)
    assert spread.min() > 0.85 and spread.max() < 1.15


def test_coordinates_cover_the_image() -> None:
    fields = Fields(torch.zeros(1, 4, 8, 16))
    assert fields.x.max() == pytest.approx(2, abs=0.05)
    assert fields.y.min() == pytest.approx(-1, abs=0.05)


def test_oklab_goes_there_and_back() -> None:
    light = torch.rand(2, 3, 5, 5)
    assert torch.allclose(oklab_to_linear(linear_to_oklab(light)), light, atol=2e-3)


@pytest.mark.parametrize("style", STYLES)
def test_styles_stay_in_range(style: str) -> None:
    image = apply_style(torch.rand(1, 3, 64, 64), style)
    assert image.isfinite().all() and image.min() >= 0 and image.max() <= 1


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(ValueError, match="woodcut"):
        apply_style(torch.rand(1, 3, 8, 8), "woodcut")


def test_a_dark_mood_is_darker_than_a_bright_one() -> None:
    light = torch.rand(1, 3, 8, 8)
    dark, bright = (apply_mood(light, torch.tensor([MOODS[name]])) for name in ("dark", "bright"))
    assert dark.mean() < light.mean() < bright.mean()


def test_a_second_family_takes_its_share() -> None:
    noise = NOISE[:1].repeat(3, 1, 1, 1)
    parts = [_at("fire", 0.8, second="ink_in_water", share=share) for share in (0.0, 0.5, 1.0)]
    fire, half, ink = render(noise, parts)
    assert (fire - half).abs().mean() > 0.02 and (half - ink).abs().mean() > 0.02
    assert (fire - ink).abs().mean() > (fire - half).abs().mean()


def test_recipes_are_sound_and_repeat_with_their_seed() -> None:
    recipes = [draw(random.Random(seed)) for seed in range(200)]
    assert recipes == [draw(random.Random(seed)) for seed in range(200)]
    for recipe in recipes:
        assert len(recipe.scalars) == len(PLAIN) and all(0 <= value <= 1 for value in recipe.scalars)
        assert 0 <= recipe.share <= 1 and 0 <= recipe.loud <= 1
        assert all(recipe.texts) and (recipe.second != recipe.family or len(recipe.texts) == 2)


def test_every_family_has_its_colours_and_names() -> None:
    assert len(FAMILIES) >= 40
    for name, family in FAMILIES.items():
        assert 0 <= family.dominant < 360 and 0 < family.drift <= 180, name
        assert name == name.lower() and " " not in name
        assert len(family.phrases) >= 8 and name.replace("_", " ") in family.phrases, name
        assert len(family.held_out) >= 2, name


def test_the_documentation_lists_every_scene() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
    listed = re.search(r"NAME is one of: ([a-z_,\s]+)", text)
    assert listed and listed[1].replace(",", " ").split() == sorted(FAMILIES)


def test_one_family_can_be_drawn_alone() -> None:
    assert {draw(random.Random(seed), families=("fire",)).second for seed in range(60)} == {None}


def test_a_recipe_keeps_to_the_families_asked_for() -> None:
    for seed in range(60):
        recipe = draw(random.Random(seed), families=("fire", "ocean"))
        assert {recipe.family, recipe.second or "fire"} <= {"fire", "ocean"}
