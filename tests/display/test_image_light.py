"""Dark images get all of a drop's light and of the bloom; bright ones keep their colour and their structure."""

from __future__ import annotations

from colorsys import rgb_to_hsv
from dataclasses import replace

import numpy as np
import pytest
from images import field, flat, frame, snapshot

from tpos_live.core.frame_params import FrameParams
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.display.postfx import BRIGHTEST, COLOUR, MOST_COLOUR, PostFxParams, bloom_share, postfx_params
from tpos_live.evaluation.show import back_row

QUIET = FrameParams(grain=0.0)
DROP = replace(QUIET, exposure=0.5, drop_light=0.5)
FLAMES = np.array((1.0, 0.75, 0.45)) * (0.55 + 0.45 * field(5)[..., :1] / 255.0) * 255.0
FLAMES = FLAMES.astype(np.uint8)
"""Orange to cream over the whole image, as a fire at full intensity."""


def shown(params: FrameParams, pixels: np.ndarray, old: np.ndarray | None = None, now: float = 5.0) -> PostFxParams:
    previous = None if old is None else frame(old, 0, 4.8)
    return postfx_params(params, snapshot(), previous, frame(pixels, 1, 5.0), now, 0.2)


def seen(params: FrameParams, pixels: np.ndarray) -> tuple[float, float]:
    """Mean saturation and luminance of the composed image."""
    image = CpuCompositor((96, 96)).compose(shown(params, pixels), frame(pixels))
    saturation = [rgb_to_hsv(*colour)[1] for colour in image[::8, ::8].reshape(-1, 3) / 255.0]
    return float(np.mean(saturation)), back_row(image)[1]


def test_a_drop_lifts_a_dark_image_and_colours_a_bright_one() -> None:
    dark, bright = flat(60), flat(190)
    assert (shown(DROP, dark).exposure, shown(DROP, dark).saturation) == (0.5, 1.0)
    assert frame(dark).light < BRIGHTEST / 2 and frame(bright).light > BRIGHTEST
    assert shown(DROP, bright).exposure == pytest.approx(0.0)
    assert shown(DROP, bright).saturation == pytest.approx(1.0 + 0.5 * COLOUR)
    darkened = replace(DROP, exposure=-0.5)
    assert shown(darkened, bright).exposure > -0.9, "there is room for light that was taken off"


def test_flames_that_fill_the_image_are_no_paler_at_a_drop() -> None:
    (before, light), (after, lit) = seen(QUIET, FLAMES), seen(DROP, FLAMES)
    assert after > 1.2 * before and lit < 1.05 * light
    (_, light), (_, lit) = seen(QUIET, FLAMES // 3), seen(DROP, FLAMES // 3)
    assert lit > 1.35 * light


def test_bloom_is_no_veil_over_flames_that_fill_the_image() -> None:
    glow = replace(QUIET, bloom=0.5)
    compositor = CpuCompositor((96, 96))
    plain, veiled, lit = (
        compositor.compose(postfx, frame(FLAMES)).astype(float)
        for postfx in (shown(QUIET, FLAMES), replace(shown(glow, FLAMES), bloom=0.5), shown(glow, FLAMES))
    )
    assert (lit - plain).mean() < 0.5 * (veiled - plain).mean()
    assert shown(glow, flat(150)).bloom == 0.5 and shown(glow, np.zeros((8, 8, 3), np.uint8)).bloom == 0.5
    assert np.abs(np.diff([bloom_share(light) for light in np.linspace(0.0, 1.0, 101)])).max() < 0.08


@pytest.mark.parametrize("exposure", [0.5, 0.1, 0.003])
def test_the_light_of_a_drop_follows_the_image_without_steps(exposure: float) -> None:
    params = replace(DROP, exposure=exposure, drop_light=exposure)
    stops = [shown(params, flat(level)).exposure for level in range(100, 200)]
    assert (np.diff(stops) <= 1e-9).all() and np.abs(np.diff(stops)).max() < 0.03
    assert shown(replace(params, drop_light=0.0), flat(200)).exposure == exposure  # a fader's, nobody else's


def test_between_two_frames_the_light_of_a_drop_is_between_theirs() -> None:
    dim, lit = field(1) // 2, field(1) // 2 + 60
    stops = [shown(DROP, lit, dim, 5.0 + t).exposure for t in np.linspace(0.0, 0.2, 9)]
    assert stops[0] == shown(DROP, dim).exposure and stops[-1] == shown(DROP, lit).exposure
    assert (np.diff(stops) <= 0.0).all() and stops[0] > stops[-1] + 0.1


def test_a_kick_after_a_drop_lights_flames_as_any_other() -> None:
    interpolator, compositor = FrameInterpolator((96, 96)), CpuCompositor((96, 96))
    interpolator.take(frame(FLAMES))
    kick = replace(QUIET, zoom=0.065, exposure=0.36 + 0.11, drop_light=0.36, kick_zoom=0.065, beat_light=0.11)
    means = []
    for now, params in ((5.0, replace(DROP, exposure=0.38, drop_light=0.38)), (5.05, kick)):
        postfx = interpolator.display_frame(now, params, snapshot()).postfx
        means.append(back_row(compositor.compose(postfx, frame(FLAMES)))[1])
    assert 1.06 < means[1] / means[0] < 1.09


def test_any_shape_has_a_light() -> None:
    assert frame(np.full((1, 1, 3), 255, np.uint8)).light == 1.0
    assert frame(np.zeros((3, 700, 3), np.uint8)).light == 0.0
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    assert frame(red).light == 1.0, "a pure colour has as little room as white"
    assert 0.0 <= shown(DROP, red // 255).exposure <= 0.5


def test_bright_images_of_an_engine_that_draws_them_pale_get_deeper_colours() -> None:
    def of(pixels: np.ndarray, vivid: float) -> PostFxParams:
        return postfx_params(QUIET, snapshot(), None, replace(frame(pixels, 1, 5.0), vivid=vivid), 5.0, 0.2)

    def paleness(postfx: PostFxParams) -> float:
        image = CpuCompositor((96, 96)).compose(postfx, frame(FLAMES)).astype(float)
        return float((image.min(-1) / image.max(-1)).mean())

    assert paleness(of(FLAMES, 1.0)) < 0.6 * paleness(of(FLAMES, 0.0))
    assert of(flat(100), 1.0) == of(flat(100), 0.0), "a dark one stays"
    assert of(flat(254), 1.0).saturation == pytest.approx(1.0, abs=0.02), "paper is white"
    steps = np.array([(of(flat(level), 1.0).saturation, of(flat(level), 1.0).exposure) for level in range(256)])
    assert np.abs(np.diff(steps, axis=0)).max() < 0.03 and of(flat(190), 0.5).exposure == steps[190, 1] / 2


def test_a_pale_image_gets_more_of_its_colours_and_one_in_black_and_white_gets_none() -> None:
    def gained(blue: int, vivid: float = 1.0) -> float:
        pixels = flat(50)
        pixels[..., 2] = blue
        return postfx_params(QUIET, snapshot(), None, replace(frame(pixels, 1, 5.0), vivid=vivid), 5.0, 0.2).saturation

    assert gained(50) == gained(55, 0.0) == 1.0 and gained(55) == pytest.approx(1.0 + MOST_COLOUR, abs=0.02)
    steps = np.array([gained(blue) for blue in range(50, 117)])
    assert steps[-1] == 1.0 and np.abs(np.diff(steps)).max() < 0.4, "a colourful one stays, and nothing jumps"
