"""Rules of a good look on pictures that are known to keep or to break them."""

from __future__ import annotations

import json

import pytest
import torch

from tpos_live.evaluation.aesthetics import RULES, evaluate_aesthetics, measure, spectrum_slope
from tpos_live.evaluation.metrics.optical_flow import flow, residual

RULE = {rule.name: rule for rule in RULES}


def flat(*colour: float) -> torch.Tensor:
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 64, 64).clone()


def smooth_noise(seed: int, exponent: float, side: int = 128) -> torch.Tensor:
    """Noise [side, side] whose power falls with the frequency to the exponent."""
    white = torch.fft.rfft2(torch.randn(side, side, generator=torch.Generator().manual_seed(seed)))
    radius = torch.hypot(torch.fft.fftfreq(side)[:, None] * side, torch.fft.rfftfreq(side)[None] * side)
    return torch.fft.irfft2(white * radius.clamp(min=1) ** (exponent / 2), s=(side, side))


@pytest.mark.parametrize("exponent", [-1.0, -2.0, -3.0])
def test_the_slope_of_a_known_spectrum_is_found(exponent: float) -> None:
    assert spectrum_slope(smooth_noise(1, exponent)) == pytest.approx(exponent, abs=0.25)


def test_pure_red_is_too_vivid_and_clipped() -> None:
    found = measure(flat(1.0, 0.0, 0.0))
    assert found["vivid"] == 1 and found["clipped"] == 1 and found["crushed"] == 0 and found["quiet"] == 1
    assert not RULE["vivid"].kept(found["vivid"]) and not RULE["clipped"].kept(found["clipped"])


def test_black_is_crushed_and_grey_is_nothing() -> None:
    assert measure(flat(0, 0, 0))["crushed"] == 1
    grey = measure(flat(0.5, 0.5, 0.5))
    assert grey["crushed"] == grey["vivid"] == grey["clipped"] == grey["accent"] == 0


def test_grey_shadows_are_not_tinted_and_blue_ones_are() -> None:
    assert measure(flat(0.1, 0.1, 0.1))["tint"] < 0.003
    assert RULE["tint"].kept(measure(flat(0.08, 0.09, 0.16))["tint"])


def test_a_third_colour_over_a_quarter_is_more_than_an_accent() -> None:
    image = flat(0.6, 0.2, 0.2)
    image[..., :32, :] = torch.tensor([0.2, 0.2, 0.6]).view(3, 1, 1)
    assert measure(image)["accent"] == 0
    image[..., :32, :32] = torch.tensor([0.2, 0.6, 0.2]).view(3, 1, 1)
    assert measure(image)["accent"] == pytest.approx(0.25, abs=0.02)


def test_a_light_in_the_corner_is_off_centre() -> None:
    middle, corner = flat(0.1, 0.1, 0.1), flat(0.1, 0.1, 0.1)
    middle[..., 28:36, 28:36] = 1
    corner[..., 4:12, 4:12] = 1
    assert measure(middle)["focus"] < 0.02 and measure(corner)["focus"] > 0.4


def test_movement_is_explained_and_boiling_is_not() -> None:
    image = smooth_noise(2, -3.0)[None, None]
    image = (image - image.min()) / (image.max() - image.min())
    moved = torch.roll(image, (1, 2), (2, 3))
    found = flow(image, moved)[..., 32:96, 32:96]
    assert found[:, 0].median() == pytest.approx(2, abs=0.2) and found[:, 1].median() == pytest.approx(1, abs=0.2)
    inner = residual(image[..., 16:112, 16:112], moved[..., 16:112, 16:112])
    assert inner < 0.3
    other = smooth_noise(3, -1.0)[None, None]
    assert residual(image, image + 0.1 * other / other.std()) > 0.6
    assert residual(image, image) == 0


def test_every_family_gets_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    values = evaluate_aesthetics(["fire", "galaxy"], 2, 0, (128, 128), as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["kind"] for row in rows] == ["family", "family", "summary"]
    assert all(set(rows[0]["values"]) == {*RULE, "focus"} == set(found) for found in values.values())
    evaluate_aesthetics(["fire"], 2, 0, (128, 64), as_json=False)
    assert "fire" in capsys.readouterr().out
