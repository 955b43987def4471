"""Shapes follow the maxima of the noise fields, and move with them."""

from __future__ import annotations

import pytest
import torch

from tpos_live.scenes.noise_fields import Fields, smooth
from tpos_live.scenes.shapes import contour, ridge, slanted, summits


def _fields(seed: int = 1, h: int = 16, w: int = 16, batch: int = 1) -> Fields:
    return Fields(torch.randn(batch, 4, h, w, generator=torch.Generator().manual_seed(seed)))


def test_every_pixel_is_told_of_the_nearest_summit() -> None:
    fields = _fields()
    found = summits(fields, 0, 1.2)
    small = smooth(fields.noise[:, :1], 1.2)
    top = torch.nn.functional.max_pool2d(small, 3, 1, 1) == small
    rows, columns = top[0, 0].nonzero(as_tuple=True)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        # A summit lies within 0.6 of a cell of the highest cell, so within a cell's diagonal of its centre.
        assert found.radius[0, 0, 8 * row + 4, 8 * column + 4] < 0.95 * 2 / 16
        assert found.height[0, 0, 8 * row + 4, 8 * column + 4] >= small[0, 0, row, column] - 1e-5
    x, y = fields.x - found.x, fields.y - found.y  # where each pixel thinks its summit is
    summit = torch.stack([x.flatten(), y.flatten()], 1)
    places = torch.unique((summit * 1e3).round(), dim=0) / 1e3
    pixels = torch.stack([fields.x.flatten(), fields.y.flatten()], 1)
    nearest = torch.cdist(pixels, places).min(1).values
    assert (found.radius.flatten() - nearest).abs().max() < 0.03
    assert len(places) == pytest.approx(top.sum().item(), abs=1)


def test_summits_travel_with_the_noise() -> None:
    noise = torch.randn(1, 4, 40, 40, generator=torch.Generator().manual_seed(5))
    still = summits(Fields(noise), 0, 1.5)
    moved = summits(Fields(torch.roll(noise, 2, dims=3)), 0, 1.5)
    inside = slice(128, 192)  # far from the border: filters stop there
    for name in ("x", "y", "height"):
        before, after = getattr(still, name), getattr(moved, name)
        assert torch.allclose(
            torch.roll(before, 16, dims=3)[..., inside, inside], after[..., inside, inside], atol=1e-4
        )


def test_a_small_step_of_the_noise_is_a_small_step_of_the_discs() -> None:
    fields, other = _fields(2), _fields(3)
    near = Fields(fields.noise * 0.9998 + other.noise * 0.02)
    images = [summits(f, 0, 1.5) for f in (fields, near, other)]
    drawn = [p.disc(0.1) * (p.height - 0.5).clamp(0, 1) for p in images]
    assert all(disc.max() > 0.3 for disc in drawn)
    assert (drawn[0] - drawn[1]).abs().mean() < 0.15 * (drawn[0] - drawn[2]).abs().mean()


def test_a_disc_is_round() -> None:
    fields = _fields(4)
    found = summits(fields, 0, 3.0)
    inside = found.disc(0.12) > 0.5
    assert inside.any() and not inside.all()
    assert found.radius[inside].max() < 0.12 < found.radius[~inside].min() + 0.02


def test_noise_without_a_summit_near_leaves_no_disc() -> None:
    flat = Fields(torch.zeros(1, 4, 8, 8))
    assert summits(flat, 0, 1.0).disc(0.05).isfinite().all()


def test_streaks_are_long_in_their_own_direction() -> None:
    field = slanted(_fields(6, 32, 32), 0, 4.0, 0.6, 0.3)

    def like(down: int, right: int) -> float:
        a, b = field[..., 64:192, 64:192], field[..., 64 + down : 192 + down, 64 + right : 192 + right]
        return ((a * b).mean() / (a * a).mean()).item()

    assert like(24, 8) > 0.7 > like(24, -8)
    assert like(8, 24) < 0.3
    assert 0.6 < field.std() < 1.4


def test_a_contour_is_as_wide_as_asked_however_steep() -> None:
    x = torch.arange(64.0).view(1, 1, 1, 64).expand(1, 1, 8, 64) - 31.5
    for steep in (0.1, 1.0, 10.0):
        bright = (contour(steep * x, 3.0) > 0.5).sum(3)
        assert (bright >= 5).all() and (bright <= 7).all()


def test_a_ridge_runs_along_the_crest() -> None:
    x = torch.arange(64.0).view(1, 1, 1, 64).expand(1, 1, 8, 64)
    crest = ridge(2 * torch.exp(-(((x - 20) / 6) ** 2)), 1.5)
    assert (crest.argmax(3) - 20).abs().max() <= 1
    assert crest[..., 40:].max() < 0.01
