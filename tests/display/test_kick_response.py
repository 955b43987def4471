"""Kicks change dark and bright, still and moving frames alike, and light them by 6 to 9 % with their zoom."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tpos_live.core.direction import Direction
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.flash_limiter import samples
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.display.kick_response import LARGEST, MOST_HELP, SCALES, SMALLEST, Composed, KickResponse, zoomed
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import shown_part
from tpos_live.evaluation.show import back_row
from tpos_live.features.features import Features
from tpos_live.modulation.integrator import ModulationIntegrator

SNAPSHOT = ParameterStore({"out.inbetween": False}).snapshot()
ACROSS, DOWN = np.meshgrid(np.linspace(-1, 1, 96), np.linspace(-1, 1, 96))


def image(ground: float, spot: float, stripes: float = 0.0) -> np.ndarray:
    """A soft spot in the middle, over a ground with stripes; values 0 to 1."""
    light = ground + (spot - ground) * np.exp(-(ACROSS**2 + DOWN**2) / 0.15) + stripes * np.sin(16 * ACROSS)
    return np.repeat(np.clip(255 * light, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


IMAGES = {"spot": image(0.05, 0.7), "dim": image(0.1, 0.25, 0.04), "bright": image(0.6, 0.75, 0.2)}


def kick(strength: float, zoom: float = 0.0) -> FrameParams:
    part, light = 0.065 * strength, 0.11 * strength
    return FrameParams(zoom=zoom + part, exposure=light, kick_zoom=part, beat_light=light)


def shown(pixels: np.ndarray, moments: list[FrameParams]) -> list[PostFxParams]:
    interpolator = FrameInterpolator()
    interpolator.take(Frame(pixels, 0, 0.0, 0.0, 0.0))
    return [interpolator.display_frame(n / 60, params, SNAPSHOT).postfx for n, params in enumerate(moments)]


def answer(pixels: np.ndarray, before: PostFxParams, after: PostFxParams) -> tuple[float, float]:
    """Change of visible lightness, and of the mean luminance (1 = none), in composed images."""
    compositor, frame = CpuCompositor((96, 96)), Frame(pixels, 0, 0.0, 0.0, 0.0)
    (dark, low), (lit, high) = (back_row(compositor.compose(postfx, frame)) for postfx in (before, after))
    return float(np.abs(lit - dark).mean()), high / low


def test_dark_and_bright_frames_answer_more_alike_than_without() -> None:
    plain, scaled = [], []
    for pixels in IMAGES.values():
        before, after = shown(pixels, [FrameParams(), kick(1.0)])
        scaled.append(answer(pixels, before, after)[0])
        untouched = PostFxParams(zoom=1.065, exposure=0.11)
        plain.append(answer(pixels, PostFxParams(), untouched)[0])
    assert np.std(scaled) / np.mean(scaled) < 0.75 * np.std(plain) / np.mean(plain)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("zoom", [0.0, 0.15])
def test_a_kick_lights_a_frame_by_less_than_a_tenth_with_its_zoom(name: str, zoom: float) -> None:
    before, after = shown(IMAGES[name], [FrameParams(zoom=zoom), kick(1.0, zoom)])
    assert 1.03 < answer(IMAGES[name], before, after)[1] < 1.10
    assert abs(after.exposure) <= MOST_HELP + 0.12


def test_between_attacks_nothing_changes_but_the_decay() -> None:
    """The frame changes from dark to bright while a kick decays: its scale is held, until the next one."""
    interpolator, factors = FrameInterpolator(), []
    for n in range(24):
        strength = 0.85 ** (n % 12)
        interpolator.take(Frame(IMAGES["dim" if n < 6 else "bright"], n, n / 60, n / 60, n / 60))
        zoom = interpolator.display_frame(n / 60, kick(strength), SNAPSHOT).postfx.zoom
        factors.append((zoom - 1.0) / (0.065 * strength))
    assert np.ptp(factors[:12]) < 1e-9 and np.ptp(factors[12:]) < 1e-9
    assert factors[0] > factors[12]


def test_a_zoom_that_rises_too_slowly_for_a_kick_is_no_kick() -> None:
    rising = [replace(kick(0.02 * n), zoom=0.0013 * n, kick_zoom=0.0013 * n) for n in range(12)]
    for params, postfx in zip(rising, shown(IMAGES["dim"], rising), strict=True):
        assert postfx.zoom == pytest.approx(1.0 + params.zoom) and postfx.exposure == pytest.approx(params.exposure)


def test_a_show_goes_on_without_an_answer_to_kicks_that_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(KickResponse, "step", lambda *_given: 1 / 0)
    before, after = shown(IMAGES["dim"], [FrameParams(), kick(1.0)])
    assert after.zoom > before.zoom and [record.levelname for record in caplog.records].count("ERROR") == 1


def moving(zooms: list[float], lights: list[float]) -> list[np.ndarray]:
    """Images that the engine zooms and lights."""
    images = []
    for zoom, light in zip(zooms, lights, strict=True):
        image = CpuCompositor((96, 96)).compose(PostFxParams(zoom=zoom), Frame(IMAGES["dim"], 0, 0.0, 0.0, 0.0))
        images.append(np.clip(255 * (image / 255) * light ** (1 / 2.2), 0, 255).astype(np.uint8))
    return images


def seen(
    images: list[np.ndarray], moments: list[FrameParams], fps: int = 20, size: tuple[int, int] = (96, 96)
) -> list[tuple[np.ndarray, float]]:
    """The visible change at kicks, with one engine frame for each shown frame."""
    interpolator, compositor, found = FrameInterpolator(size), CpuCompositor(size), []
    for n, (image, params) in enumerate(zip(images, moments, strict=True)):
        interpolator.take(Frame(image, n, n / fps, n / fps, n / fps, cut_index=params.cut_index))
        display_frame = interpolator.display_frame(n / fps, params, SNAPSHOT)
        found.append(back_row(compositor.compose(display_frame.postfx, display_frame.newest)))
    return found


def test_a_kick_zooms_less_where_the_engine_moves_more() -> None:
    zooms, pixels = [], image(0.3, 0.6, 0.15)
    for shift in (0, 1, 2):
        interpolator = FrameInterpolator()
        for n, (right, params) in enumerate([(0, FrameParams()), (shift, kick(1.0))]):
            interpolator.take(Frame(np.roll(pixels, right, 1), n, n / 20, n / 20, n / 20))
            postfx = interpolator.display_frame(n / 20, params, SNAPSHOT).postfx
        zooms.append(postfx.zoom - 1.0)
    assert zooms[0] > 1.15 * zooms[1] and zooms[1] > 2.0 * zooms[2] > 0.0


@pytest.mark.parametrize("own", [0.9, 0.95, 1.0, 1.05, 1.1])
def test_a_kick_lights_a_frame_by_6_to_9_percent_whatever_the_engine_adds(own: float) -> None:
    """Also while the kick rises for two more frames, and while the engine goes on."""
    images = moving([1.0] * 3, [1.0, own, own**1.5])
    (_, before), (_, first), (_, second) = seen(images, [FrameParams(), kick(0.8), kick(1.0)])
    assert 0.055 < max(first, second) / before - 1.0 < 0.095


@pytest.mark.parametrize("size", [(96, 96), (160, 90), (90, 160)])
def test_a_kick_lights_the_part_of_an_image_that_the_output_shows(size: tuple[int, int]) -> None:
    """Light that the zoom moves out at an edge which no output of this shape shows does not count."""
    edges = (40 + 120 * np.maximum(np.abs(ACROSS), np.abs(DOWN)) ** 2).astype(np.uint8)
    images = [np.repeat(edges[..., None], 3, axis=2)] * 2
    (_, before), (_, after) = seen(images, [FrameParams(), kick(1.0)], size=size)
    assert 0.065 < after / before - 1.0 < 0.085  # 10 % in 16:9 where the shape is not known


def kicks(fps: int, rng: np.random.Generator) -> list[FrameParams]:
    """Six seconds of kicks at 128 BPM of strengths 0.4 to 1, which reach a frame up to 1 / fps late, with hats on
    every other one, in a frame that stands aside in the enlarged image."""
    integrator, drives = ModulationIntegrator(), []
    features = Features(silence=0.0, loudness=0.8)
    for hop in range(600):
        kick, hats = features.kick * math.exp(-0.2), features.hats * math.exp(-0.2)
        if hop % 47 == 46:
            kick, hats = float(rng.uniform(0.4, 1.0)), float(hop % 2)
        features = replace(features, kick=kick, hats=hats)
        drive = integrator.step(features, ParameterStore({"finish.grain": 0.0}).snapshot(), 0.0)
        if (hop + 1) * fps // 100 > hop * fps // 100:
            drives.append(replace(drive, zoom=drive.zoom + 0.15, direction=Direction(x=0.03, y=-0.02)))
    return drives


@pytest.mark.parametrize(("name", "fps"), [("spot", 20), ("dim", 20), ("bright", 20), ("dim", 50)])
def test_nine_kicks_in_ten_light_a_moving_frame_by_6_to_9_percent(name: str, fps: int) -> None:
    """Whatever their strength, in a dark and a bright scene that drifts and flickers."""
    rng = np.random.default_rng(5)
    drives = kicks(fps, rng)
    flicker = 2.0 ** np.cumsum(rng.normal(0, 0.05, len(drives)))
    flicker = np.clip(flicker / flicker.mean(), 0.8, 1.0)
    images = []
    for n, light in enumerate(flicker):
        moved = np.roll(IMAGES[name], [round(4 * math.sin(n / fps)), round(4 * math.sin(1.3 * n / fps))], (0, 1))
        images.append((moved * light ** (1 / 2.2)).astype(np.uint8))
    light = np.array([mean for _, mean in seen(images, drives, fps)])
    began = [n for n in range(1, len(drives)) if drives[n].kick_zoom > drives[n - 1].kick_zoom + 0.01]
    rises = [light[n : n + fps // 10].max() / light[n - 1] - 1.0 for n in began if n + fps // 10 <= len(light)]
    assert len(rises) >= 12
    assert np.mean([0.06 <= rise <= 0.09 for rise in rises]) >= 0.9, np.round(rises, 3)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(("exposure", "bloom"), [(-0.5, 0.0), (0.0, 0.5), (0.4, 0.35), (0.8, 0.8)])
@pytest.mark.parametrize("size", [(96, 96), (160, 90)])
def test_the_light_that_is_aimed_at_is_that_of_the_composed_frame(
    name: str, exposure: float, bloom: float, size: tuple[int, int]
) -> None:
    """To 1.5 % between two frames, where a bright one is compressed and blooms."""
    postfx = PostFxParams(exposure=exposure, bloom=bloom, saturation=0.9, zoom=1.2, place=(0.05, -0.03))
    more = replace(postfx, exposure=exposure + 0.2, bloom=bloom + 0.1, zoom=1.3)
    known, real = [], []
    for at in (postfx, more):
        light = Composed(samples(IMAGES[name]), at)(0.0)
        known.append(zoomed(light, at.zoom, at.place, shown_part("cover", (96, 96), size)).mean())
        real.append(back_row(CpuCompositor(size).compose(at, Frame(IMAGES[name], 0, 0.0, 0.0, 0.0)))[1])
    assert known[1] / known[0] == pytest.approx(real[1] / real[0], rel=0.015)


def test_a_kick_at_a_drop_takes_nothing_off_its_light_and_knows_cuts() -> None:
    images = moving([1.0, 1.0], [1.0, 1.0])
    cut = replace(kick(1.0), exposure=0.61, cut_index=1)
    (_, before), (_, after) = seen(images, [FrameParams(), replace(cut, cut_index=0)])
    (_, other), (_, shown) = seen([IMAGES["bright"], images[1]], [FrameParams(), cut])
    assert after / before > 1.35 and after == pytest.approx(shown, rel=0.05) and other > shown


def test_without_kicks_and_with_a_negative_depth_the_parameters_are_those_of_the_map() -> None:
    for params in (FrameParams(zoom=0.1, exposure=0.3), FrameParams(zoom=-0.06, kick_zoom=-0.06, beat_light=0.1)):
        (postfx,) = shown(IMAGES["spot"], [params])
        assert (postfx.zoom, postfx.exposure) == (1.0 + params.zoom, params.exposure)


@pytest.mark.parametrize("pixels", [np.zeros((1, 1, 3), np.uint8), np.full((3, 700, 3), 255, np.uint8)])
def test_odd_frames_and_depths_do_no_harm(pixels: np.ndarray) -> None:
    wild = FrameParams(zoom=0.5, exposure=3.0, kick_zoom=4.0, beat_light=0.137)
    for postfx in shown(pixels, [FrameParams(), kick(1.0), wild, FrameParams()]):
        assert SMALLEST <= postfx.zoom <= LARGEST and np.isfinite(postfx.exposure)


def test_the_same_frames_give_the_same_bytes_twice() -> None:
    moments = [kick(0.8 ** (n % 7)) for n in range(20)]
    assert shown(IMAGES["dim"], moments) == shown(IMAGES["dim"], moments)
    assert SCALES[0] < 1.0 < SCALES[-1]


def test_a_kick_that_is_to_darken_does() -> None:
    darker = replace(kick(1.0), exposure=-0.2, beat_light=-0.1)
    before, after = shown(IMAGES["dim"], [FrameParams(exposure=-0.1), darker])
    assert 0.91 < answer(IMAGES["dim"], before, after)[1] < 0.95


def test_a_kick_lights_a_frame_while_the_light_of_a_drop_decays() -> None:
    images = moving([1.0] * 2, [1.0] * 2)
    moments = [FrameParams(exposure=0.45), replace(kick(1.0), exposure=0.36 + 0.11)]
    (_, before), (_, after) = seen(images, moments)
    assert 1.06 < after / before < 1.09
