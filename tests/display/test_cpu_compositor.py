"""The CPU compositor: neutral colours, black stays black, soft clipping of highlights, no banding."""

from __future__ import annotations

import math
from colorsys import rgb_to_hsv
from dataclasses import replace

import numpy as np
import pytest
import torch
from images import field, flat, frame

from tpos_live.core.srgb import srgb_to_linear
from tpos_live.display import bloom, cpu_compositor
from tpos_live.display.bloom import EMITTER, RADII, SIDE, make_bloom_map
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.enlarge import BLOCK, enlarge
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import (
    ToneMapping,
    cubic_weights,
    noise_offset,
    noise_tile,
    place_image,
    scramble,
    to_light,
    toned,
    upscale_factor,
)
from tpos_live.scenes.palettes import linear_to_oklab


def compose(pixels: np.ndarray, size: tuple[int, int] | None = None, **postfx: object) -> np.ndarray:
    size = size or (pixels.shape[1], pixels.shape[0])
    return CpuCompositor(size).compose(PostFxParams(**postfx), frame(pixels))  # type: ignore[arg-type]


def test_neutral_is_the_image_itself() -> None:
    pixels = field(1, (160, 90))
    # Dither moves a value by less than one step, half of the time down.
    assert np.abs(compose(pixels).astype(int) - pixels).max() <= 1
    grey = compose(flat(200), (640, 360))
    assert grey.min() >= 199 and grey.max() <= 200


def test_black_stays_black_and_white_white() -> None:
    assert compose(flat(0), (320, 180), grain=0.05, bloom=1.0, exposure=1.0, saturation=1.3).max() == 0
    assert compose(flat(255), (320, 180)).min() == 255


@pytest.mark.parametrize(
    "postfx", [PostFxParams(level=0.0, grain=0.1), PostFxParams(blackout=True, grain=0.1, bloom=2, exposure=3)]
)
def test_level_zero_and_blackout_are_exactly_black(postfx: PostFxParams) -> None:
    assert CpuCompositor((320, 180)).compose(postfx, frame(field(1))).max() == 0
    assert CpuCompositor((320, 180)).compose(PostFxParams(), None).max() == 0


def test_level_fades_evenly() -> None:
    means = [compose(flat(200), level=level).mean() for level in (0.25, 0.5, 0.75, 1.0)]
    assert means == pytest.approx([50, 100, 150, 200], abs=1)


def test_light_is_a_stop_in_linear_light_and_never_clips_hard() -> None:
    # One stop doubles the light. By the sRGB curve itself 60 becomes 85.
    lit = compose(flat(60), exposure=1.0).mean() / 255
    assert to_light(lit) == pytest.approx(2 * to_light(60 / 255), rel=0.02)
    assert lit * 255 == pytest.approx(85, abs=2)
    ramp = np.repeat(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    lit = compose(ramp, exposure=2.0).astype(float).mean((0, 2))
    assert (np.diff(lit) > -1.01).all() and lit[-1] >= 254
    assert lit[200] < lit[250] - 2  # bright parts keep their differences


def test_flames_keep_their_structure_in_the_light_of_a_drop() -> None:
    """Of coded values from half to full, fewer than one in twelve becomes white."""
    flames = np.repeat(np.linspace(128, 255, 256).astype(np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    lit = compose(flames, exposure=0.5)
    assert (lit > 250).mean() < 1 / 12  # one in ten where only light above 0.6 is compressed
    assert lit.mean() > flames.mean() + 10


def test_highlights_lose_saturation_like_film() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    lit = compose(red, exposure=3.0).reshape(-1, 3).mean(0)
    assert lit[0] > 250 and lit[1] > 60
    dim = compose(red // 3, exposure=0.5).reshape(-1, 3).mean(0)
    assert dim[1] < 1  # below the knee a colour stays pure


def test_saturation_keeps_luminance() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8) + np.array([120, 60, 90], np.uint8)
    luma = np.array([0.2126, 0.7152, 0.0722])
    want = float((to_light(pixels[0, 0] / 255) * luma).sum())
    for saturation in (0.0, 0.5, 1.0, 1.3):
        rgb = compose(pixels, saturation=saturation).reshape(-1, 3).mean(0)
        assert float((to_light(rgb / 255) * luma).sum()) == pytest.approx(want, rel=0.03), saturation
        if saturation == 0:
            assert np.ptp(rgb) < 1


@pytest.mark.parametrize("colour", [(199, 153, 102), (204, 140, 90), (230, 199, 153), (90, 140, 130), (120, 90, 150)])
def test_saturation_keeps_the_hue_that_people_see(colour: tuple[int, int, int]) -> None:
    """In Oklab. Saturated in light, the first colour, a pale flame, turned by 8 degrees to mustard with a blue of 8."""

    def seen(rgb: np.ndarray) -> tuple[float, float]:
        _, a, b = linear_to_oklab(torch.tensor(srgb_to_linear(rgb / 255), dtype=torch.float32)[None])[0].tolist()
        return math.degrees(math.atan2(b, a)), math.hypot(a, b)

    pixels = np.zeros((32, 32, 3), np.uint8) + np.array(colour, np.uint8)
    hue, chroma = seen(np.array(colour))
    for saturation in (0.6, 1.3, 1.7):
        rgb = compose(pixels, saturation=saturation).reshape(-1, 3).mean(0)
        found = seen(rgb)
        turned = (found[0] - hue + 180) % 360 - 180
        assert abs(turned) < 7.5 and (found[1] - chroma) * (saturation - 1) > 0, (saturation, found, hue)
        assert rgb.min() > 10


def test_bloom_spills_around_bright_parts_only() -> None:
    dark = flat(20, (256, 144))
    dark[60:80, 120:140] = 255
    plain, make_bloom = (compose(dark, (512, 288), bloom=b).astype(int) for b in (0.0, 0.6))
    assert make_bloom[140, 300].min() > plain[140, 300].max() + 3  # beside the light
    assert abs(make_bloom[10, 10] - plain[10, 10]).max() <= 2  # far away
    assert np.abs(compose(flat(90), bloom=1.0).astype(int) - compose(flat(90)).astype(int)).max() <= 1


def test_bloom_leaves_a_large_bright_area_its_colour() -> None:
    orange = np.full((180, 320, 3), (245, 170, 60), np.uint8)
    glowing, plain = compose(orange, bloom=0.5)[90, 160].astype(int), compose(orange)[90, 160].astype(int)
    assert (glowing - plain).max() <= 22  # 36 where the glow is added to what is bright already


def test_glow_has_its_radii_whatever_the_shape() -> None:
    for size in ((256, 256), (512, 288)):
        pixels = flat(0, size)
        pixels[size[1] // 2 - 2 : size[1] // 2 + 2, size[0] // 2 - 2 : size[0] // 2 + 2] = 255
        bloom_map = make_bloom_map(pixels).numpy()[0]
        across, down = bloom_map[SIDE // 2], bloom_map[:, SIDE // 2]
        reach_x = (across > across.max() / 20).sum() / SIDE
        reach_y = (down > down.max() / 20).sum() / SIDE * size[1] / size[0]
        assert reach_x == pytest.approx(reach_y, rel=0.25)
        assert bloom_map.max() <= 1


@pytest.mark.parametrize("size", [(320, 192), (64, 100)])
def test_the_bloom_map_is_the_sum_of_three_blurs(size: tuple[int, int]) -> None:
    pixels = field(3, size)
    light = (pixels.astype(float) / 255) ** 2
    light *= np.clip((light.max(2, keepdims=True) - EMITTER) / (1 - EMITTER), 0, 1)
    shrunk = np.einsum("yh,xw,hwc->cyx", *(bloom._shrink(n).numpy() for n in size[::-1]), light, optimize=True)
    expected = np.zeros_like(shrunk)
    for radius, share in RADII:
        across = bloom._blur(round(radius * SIDE, 3)).numpy()
        down = bloom._blur(round(radius * SIDE * size[0] / size[1], 3)).numpy()
        expected += share * (down @ shrunk @ across.T)
    assert np.abs(make_bloom_map(pixels).numpy() - expected).max() < 1e-5


def test_no_banding_on_a_dark_smooth_ramp() -> None:
    ramp = np.repeat(np.linspace(10, 30, 256)[None, :, None], 144, 0).repeat(3, 2)
    out = compose(ramp.astype(np.uint8), (1280, 720), exposure=1.0).astype(float)
    rows = out[:, :, 1]
    # Steps of the eight bits are dissolved: within a column all neighbours of a value occur ...
    assert (rows.std(0)[100:-100] > 0).mean() > 0.6
    # ... while the mean over a column climbs without jumps.
    steps = np.abs(np.diff(rows.mean(0)))
    assert steps.max() < 0.5


def test_grain_has_its_strength_moves_and_leaves_no_tint() -> None:
    grey = [compose(flat(128), (512, 512), grain=0.015, seed=seed).astype(float) for seed in (1, 2)]
    assert grey[0].mean(2).std() / 255 == pytest.approx(0.015, rel=0.1)
    assert grey[0].mean() == pytest.approx(128, abs=0.6)
    assert abs(np.corrcoef(grey[0][..., 0].ravel(), grey[1][..., 0].ravel())[0, 1]) < 0.05


def test_the_hash_is_the_known_one_and_the_noise_even() -> None:
    # lowbias32 of 1 and 2, computed by hand with Python's integers.
    def by_hand(x: int) -> int:
        x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
        x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
        return x ^ (x >> 16)

    assert scramble(np.array([1, 2, 12345], np.uint32)).tolist() == [by_hand(n) for n in (1, 2, 12345)]
    counts = np.bincount(noise_tile()[..., 0].ravel(), minlength=256)
    assert counts.min() > 0.85 * counts.mean()
    assert len({noise_offset(seed) for seed in range(100)}) > 95


def test_zoom_and_rotation_move_the_right_way() -> None:
    pixels = flat(0, (200, 200))
    pixels[90:110, 150:170] = 255  # a spot right of the middle
    near, far = (np.argwhere(compose(pixels, zoom=z)[..., 0] > 128).mean(0) for z in (1.0, 1.4))
    assert far[1] - 100 == pytest.approx(1.4 * (near[1] - 100), abs=1)
    turned = np.argwhere(compose(pixels, rotate=90.0)[..., 0] > 128).mean(0)
    assert turned == pytest.approx([160, 100], abs=1.5)  # clockwise: right goes down


def test_a_drift_moves_content_right_and_up() -> None:
    pixels = flat(0, (200, 200))
    pixels[95:105, 95:105] = 255
    at = np.argwhere(compose(pixels, pan_new=(0.1, -0.2))[..., 0] > 128).mean(0)
    assert at == pytest.approx([59.5, 119.5], abs=1)


def test_no_black_corner_shows() -> None:
    for postfx in ({"zoom": 0.6}, {"rotate": 33.0}, {"pan_new": (0.3, 0.2)}, {"fit": "mirror", "zoom": 0.7}):
        assert compose(flat(180), (320, 180), **postfx).min() >= 179


def test_each_way_to_fit_a_frame_fills_or_leaves_black() -> None:
    pixels = flat(200, (100, 100))
    contain = compose(pixels, (320, 180), fit="contain")
    assert contain[:, :69].max() == 0 and contain[:, 251:].max() == 0 and contain[:, 70:250].min() >= 199
    tall = compose(pixels, (180, 320), fit="contain")
    assert tall[:69].max() == 0 and tall[70:250].min() >= 199
    for fit in ("cover", "mirror"):
        assert compose(pixels, (320, 180), fit=fit).min() >= 199
    half = np.concatenate([flat(40, (50, 100)), flat(220, (50, 100))], 1)
    mirror = compose(half, (400, 100), fit="mirror").mean((0, 2))
    assert mirror[155] < 60 and mirror[245] > 200 and mirror[290] > 200 and mirror[310] < 60 and mirror[90] > 200


def test_a_rotated_frame_turns_about_the_centre() -> None:
    spot = place_image(PostFxParams(rotate=30, zoom=1.3), (256, 256), (1280, 720))
    a, b, c, d = spot.matrix
    assert a * 640 + b * 360 + spot.shift[0] == pytest.approx(0.5)
    assert c * 640 + d * 360 + spot.shift[1] == pytest.approx(0.5)
    assert (
        ToneMapping.of(PostFxParams()).shoulder == 0
        and ToneMapping.of(PostFxParams(exposure=-1, bloom=0.5)).shoulder == 0
    )
    assert [upscale_factor((256, 256), size) for size in ((256, 256), (512, 512), (1280, 720), (4000, 2000))] == [
        1,
        2,
        4,
        4,
    ]


@pytest.mark.parametrize("colour", [(1.0, 0.55, 0.15), (0.1, 0.4, 0.9), (0.8, 0.2, 0.6)])
@pytest.mark.parametrize("exposure", [0.5, 1.0])
def test_a_bright_colour_keeps_its_hue_and_most_of_its_saturation(
    colour: tuple[float, float, float], exposure: float
) -> None:
    """Compressed channel by channel, orange would become yellow: a hue of 0.11 where it was 0.08."""
    tone = ToneMapping.of(PostFxParams(exposure=exposure))
    hue, saturation, value = rgb_to_hsv(*colour)
    shown = rgb_to_hsv(*toned(to_light(np.array(colour)), np.zeros(3), tone))
    assert shown[0] == pytest.approx(hue, abs=0.015)
    assert 0.8 * saturation < shown[1] < 1.02 * saturation and value <= shown[2] <= 1.0


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_cubic_weights_keep_constants_and_slopes(factor: int) -> None:
    for phase, (first, weights) in enumerate(cubic_weights(factor)):
        at = (phase + 0.5) / factor - 0.5
        assert sum(weights) == pytest.approx(1)
        assert sum(w * (first + i) for i, w in enumerate(weights)) == pytest.approx(at, abs=0.06)


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (BLOCK, BLOCK - 1), (2 * BLOCK + 3, BLOCK + 1)])
def test_blocks_enlarge_as_the_formula_does(factor: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((3, *size)).astype(np.float32)
    expected = image
    for axis in (2, 1):
        places = expected.shape[axis]
        phases = []
        for first, weights in cubic_weights(factor):
            taps = [np.clip(np.arange(places) + first + tap, 0, places - 1) for tap in range(4)]
            phases.append(sum(w * expected.take(at, axis) for w, at in zip(weights, taps, strict=True)))
        interleaved = np.stack(phases, axis + 1)
        shape = [n * factor if i == axis else n for i, n in enumerate(expected.shape)]
        expected = np.clip(interleaved.reshape(shape), 0, 1)
    np.testing.assert_allclose(enlarge(torch.from_numpy(image), factor), expected, atol=1e-6)


def test_sharper_than_bilinear() -> None:
    from PIL import Image

    pixels = field(2, (64, 64))
    pixels[20:44, 30:34] = 255
    big = compose(pixels, (512, 512)).astype(float)
    soft = np.asarray(Image.fromarray(pixels).resize((512, 512), Image.Resampling.BILINEAR), float)
    assert np.abs(np.diff(big, axis=1)).max() > 1.15 * np.abs(np.diff(soft, axis=1)).max()


def test_a_blend_of_two_sizes_and_reused_memory_do_no_harm() -> None:
    compositor = CpuCompositor((320, 180))
    first, second = frame(field(1, (64, 64)), 0), frame(field(2, (128, 96)), 1)
    half = PostFxParams(mix=0.5, bloom=0.3)
    a = compositor.compose(half, second, first)
    compositor.compose(replace(half, fit="contain"), first, second)
    assert np.array_equal(a, compositor.compose(half, second, first))


@pytest.mark.parametrize("size", [(128, 80), (320, 180)])
def test_bands_of_any_height_compose_the_same(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    postfx = PostFxParams(exposure=0.3, bloom=0.4, grain=0.05, zoom=1.1, rotate=0.1, saturation=1.2, mix=0.5)
    new, old = frame(field(1, (64, 48)), 2), frame(field(2, (64, 48)), 1)
    whole = CpuCompositor(size).compose(postfx, new, old)
    monkeypatch.setattr(cpu_compositor, "PIXELS", 0)
    low = CpuCompositor(size).compose(postfx, new, old)
    assert np.abs(whole.astype(int) - low).max() <= 1
