"""At a drop the colours of a cold image turn towards violet; warm images keep theirs."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
from images import field, flat, frame, snapshot

from tpos_live.core.direction import Direction
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.image_colour import LARGEST, turn_of
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.postfx import postfx_params
from tpos_live.display.tone_mapping import KEPT, LUMA, hue_matrix

TURNED = FrameParams(grain=0.0, direction=Direction(hue=1.0))


def coloured(*colour: int) -> np.ndarray:
    return np.tile(np.array(colour, np.uint8), (64, 64, 1))


def shown_hue(pixels: np.ndarray, params: FrameParams) -> float:
    """Degrees from red over green, of the middle of the composed image."""
    new = frame(pixels, 1, 5.0)
    image = CpuCompositor((96, 96)).compose(postfx_params(params, snapshot(), None, new, 5.0, 0.2), new)
    return 360.0 * colorsys.rgb_to_hsv(*image[48, 48] / 255.0)[0]


@pytest.mark.parametrize(
    ("colour", "low", "high"),
    [((230, 120, 30), 20, 30), ((220, 190, 40), 45, 55), ((30, 200, 120), 170, 230), ((40, 110, 230), 240, 290)],
)
def test_cold_colours_turn_to_violet(colour: tuple[int, int, int], low: float, high: float) -> None:
    hue = shown_hue(coloured(*colour), TURNED)
    assert low <= hue <= high
    plain = shown_hue(coloured(*colour), replace(TURNED, direction=Direction()))
    assert plain == pytest.approx(360.0 * colorsys.rgb_to_hsv(*colour)[0], abs=1.5)


@pytest.mark.parametrize("part", [(230, 120, 30), (240, 190, 120), (150, 30, 10)])
def test_flames_stay_flames_with_the_saturation_of_a_drop(part: tuple[int, int, int]) -> None:
    """Orange, pale and dark red parts of an image; turned by 15 degrees towards red they were salmon and pink."""
    flames = np.tile(np.repeat([(230, 120, 30), (240, 190, 120), (150, 30, 10)], 21, 0).astype(np.uint8), (64, 1, 1))
    flames[20:44, 20:44] = part
    assert 0.0 <= shown_hue(flames, replace(TURNED, saturation=1.3, drop_light=0.5, exposure=0.5)) < 45.0


def test_grey_violet_and_warm_images_stay() -> None:
    assert turn_of(coloured(170, 40, 210)) < 5.0
    assert turn_of(coloured(230, 120, 30)) == turn_of(flat(0)) == 0.0
    assert turn_of(flat(128)) == pytest.approx(0.0, abs=1e-6)


def test_the_turn_follows_the_image_without_steps() -> None:
    circle = [coloured(*(round(255 * part) for part in colorsys.hsv_to_rgb(n / 360, 0.8, 0.9))) for n in range(361)]
    turns = np.array([turn_of(pixels) for pixels in circle])
    assert np.abs(np.diff(turns)).max() < 4.0 and turns.min() == 0.0 and turns.max() == LARGEST
    old, new = frame(coloured(230, 120, 30), 0, 4.8), frame(coloured(40, 110, 230), 1, 5.0)
    between = [postfx_params(TURNED, snapshot(), old, new, 5.0 + t, 0.2).hue for t in np.linspace(0.0, 0.2, 9)]
    assert between[-1] == LARGEST and (np.diff(between) >= 0.0).all()


def test_a_turn_leaves_grey_and_most_of_the_light() -> None:
    for degrees in (-45.0, 20.0):
        matrix = hue_matrix(degrees)
        assert matrix @ np.ones(3) == pytest.approx(np.ones(3))
        assert KEPT @ matrix == pytest.approx(KEPT)
        light = np.square(field(3).reshape(-1, 3) / 255.0)
        assert (np.maximum(light @ matrix.T, 0.0) @ LUMA).mean() == pytest.approx((light @ LUMA).mean(), rel=0.2)
    assert hue_matrix(0.0) == pytest.approx(np.eye(3))
