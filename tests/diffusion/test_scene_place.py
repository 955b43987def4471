"""The sound's scene lies beside the prompt's subject, where the director puts it, with the area that it has anyway."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from tpos_live.core.direction import NO_DIRECTION, Direction
from tpos_live.diffusion.model.unet_inputs import pack
from tpos_live.diffusion.sampling.scene_place import COMES, ScenePlace
from tpos_live.director.framing import PLACES, Framing, Shot
from tpos_live.features.features import HOP_SECONDS
from tpos_live.scenes.draw import share_mask
from tpos_live.scenes.noise_fields import Fields

CELLS = 24, 40
MANY = 60
"""Noises whose mean is taken."""


def directed(place: str) -> Direction:
    across, down, aside = PLACES[place]
    return replace(NO_DIRECTION, across=across, down=down, aside=aside)


def masks(direction: Direction, share: float) -> np.ndarray:
    """Where the second scene is, [MANY, h, w], as the scenes draw it that Ember has learned from."""
    noise = torch.randn(MANY, 4, *CELLS, generator=torch.Generator().manual_seed(3))
    place = ScenePlace((1, 4, *CELLS), 1)
    for one in noise:
        place.apply(one[None], direction, share)
    return share_mask(Fields(noise), [share] * MANY, range(MANY)).squeeze(1).numpy()


def parts(mask: np.ndarray) -> dict[str, float]:
    """Mean of the mask in parts of the frame."""
    _, rows, columns = mask.shape
    low, left = rows // 3, columns // 3
    middle = mask[:, low : rows - low, left : columns - left]
    return {
        "left": mask[:, :, :left].mean(), "right": mask[:, :, -left:].mean(), "above": mask[:, :low].mean(),
        "below": mask[:, -low:].mean(), "middle": middle.mean(),
    }  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("share", [0.1, 0.2, 0.35])
def test_a_scene_lies_at_its_place_and_leaves_the_middle_free(place: str, share: float) -> None:
    found = parts(masks(directed(place), share))
    there = ("left", "right") if place == "sides" else (place,)
    opposite = {"left": "right", "right": "left", "above": "below", "below": "above", "sides": "middle"}[place]
    assert min(found[name] for name in there) > 1.2 * share
    assert found[opposite] < 0.2 * share
    assert found["middle"] < 0.25 * share
    assert parts(masks(NO_DIRECTION, share))["middle"] > 0.5 * share, "a place is what keeps the middle free"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("share", [0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
def test_a_place_changes_no_area(place: str, share: float) -> None:
    assert masks(directed(place), share).mean() == pytest.approx(share, abs=0.04)


def test_a_place_comes_and_goes_without_a_jump() -> None:
    """In the share, down to one scene alone, and from one place to another."""
    place, noise = ScenePlace((1, 4, *CELLS), 1), torch.randn(1, 4, *CELLS)

    def slope(direction: Direction, share: float) -> torch.Tensor:
        moved = noise.clone()
        place.apply(moved, direction, share)
        return moved - noise

    for shares in (np.linspace(0, 2 * COMES, 120), np.linspace(1 - 2 * COMES, 1, 120)):
        steps = [slope(directed("left"), share) for share in shares]
        assert max(float((b - a).abs().max()) for a, b in pairwise(steps)) < 0.04
    assert not slope(directed("left"), 0.0).any() and not slope(directed("left"), 1.0).any()
    assert not slope(NO_DIRECTION, 0.3).any() and not slope(directed("left"), 1e-17).any()
    a, b = directed("above"), directed("sides")
    ways = np.linspace(0, 1, 100)
    between = [slope(replace(a, down=-(1 - way), aside=way), 0.3) for way in ways]
    assert max(float((y - x).abs().max()) for x, y in pairwise(between)) < 0.03
    assert torch.equal(between[0], slope(a, 0.3)) and torch.equal(between[-1], slope(b, 0.3))


@pytest.mark.parametrize(("old", "new"), [pair for pair in permutations(PLACES, 2) if pair[0] < pair[1]])
def test_a_scene_moves_around_the_subject_and_never_over_it(old: str, new: str) -> None:
    """Halfway from left to right, or from above to below, it would be nowhere, and so anywhere."""
    share, framing = 0.3, Framing()
    framing.take(Shot(0, 0, 0, 0, 0, 0, 0, *PLACES[old]), 0.0)
    framing.take(Shot(0, 0, 0, 0, 0, 0, 0, *PLACES[new]), 8 * HOP_SECONDS)
    for shot in [framing.step() for _ in range(8)]:
        way = replace(NO_DIRECTION, across=shot.across, down=shot.down, aside=shot.aside)
        assert parts(masks(way, share))["middle"] < 0.25 * share, shot


def test_the_slope_is_small_beside_the_noise_and_in_one_channel() -> None:
    place, noise = ScenePlace((1, 4, *CELLS), 1), torch.zeros(1, 4, *CELLS)
    for name in PLACES:
        moved = noise.clone()
        place.apply(moved, directed(name), 0.3)
        assert moved.abs().max() < 0.6
        assert [bool(channel.any()) for channel in moved[0]] == [False, False, True, False]


def test_packed_noise_gets_the_same_slope() -> None:
    plain, packed = torch.zeros(1, 4, *CELLS), torch.zeros(1, 16, CELLS[0] // 2, CELLS[1] // 2)
    ScenePlace((1, 4, *CELLS), 1).apply(plain, directed("below"), 0.3)
    ScenePlace((1, 16, CELLS[0] // 2, CELLS[1] // 2), 2).apply(packed, directed("below"), 0.3)
    assert torch.allclose(pack(plain, 2), packed, atol=1e-6)
