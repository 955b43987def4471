"""The flash limiter: at most three general flashes a second in composed frames, and no change to calm ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tpos_live.core.direction import Direction
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.flash_limiter import FlashLimiter, luminance, means, samples
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import to_coded

FPS = 30
SIZE = (48, 27)
Scene = Callable[[float], np.ndarray]


def grey(value: float) -> np.ndarray:
    return np.full((64, 64, 3), round(255 * value), np.uint8)


def strobe(hertz: float, low: float = 0.0, high: float = 1.0) -> Scene:
    return lambda t: grey(high if t * hertz % 1.0 < 0.5 else low)


def halves(t: float) -> np.ndarray:
    """Two halves that change places ten times a second: the mean does not change."""
    image = grey(0.0)
    left = t * 5 % 1.0 < 0.5
    image[:, slice(0, 32) if left else slice(32, 64)] = 255
    return image


def spot(t: float) -> np.ndarray:
    """A tenth of the shown part flashes, which is no general flash."""
    image = grey(0.2)
    if t * 8 % 1.0 < 0.5:
        image[24:39, 24:39] = 255
    return image


def band(t: float) -> np.ndarray:
    """A fifth of the image flashes, in its middle: a third of what a frame of 16:9 shows of it."""
    image = grey(0.2)
    if t * 8 % 1.0 < 0.5:
        image[25:38] = 255
    return image


def red(t: float) -> np.ndarray:
    image = grey(0.0)
    if t * 8 % 1.0 < 0.5:
        image[..., 0] = 255
    return image


def show(
    scene: Scene,
    seconds: float = 2.5,
    params: Callable[[float], FrameParams] = lambda t: FrameParams(),
    first: int = 0,
    **values: object,
) -> np.ndarray:
    """Luminance [pictures, h, w] of what is finished, by the parts that a stage uses. first: the index of the first
    frame; -1 for that of a show before."""
    start = {"out.inbetween": False, **{n.replace("__", "."): v for n, v in values.items()}}
    store = ParameterStore(start)  # type: ignore[arg-type]
    compositor, interpolator, shown = CpuCompositor(SIZE), FrameInterpolator(SIZE), []
    for k in range(round(seconds * FPS)):
        now = 100.0 + k / FPS
        interpolator.take(Frame(scene(k / FPS), k + first, now, now, now))
        display_frame = interpolator.display_frame(now, params(k / FPS), store.snapshot())
        shown.append(
            luminance(compositor.compose(display_frame.postfx, display_frame.newest, display_frame.previous) / 255.0)
        )
    return np.array(shown)


def flashes(shown: np.ndarray) -> int:
    """Most general flashes in any second: pairs of opposing changes of luminance by 0.10 or more, the darker state
    below 0.80, each by more than a quarter of the pixels within a tenth of a second."""
    extreme, direction = shown[0].copy(), np.zeros(shown[0].shape, int)
    recent: dict[int, list[np.ndarray]] = {1: [], -1: []}
    changes: dict[int, list[float]] = {1: [], -1: []}
    for k, now in enumerate(shown):
        step = now - extreme
        turned = (np.abs(step) >= 0.10) & (np.minimum(now, extreme) < 0.8) & (np.sign(step) != direction)
        extreme = np.where(turned | (np.sign(step) == direction), now, extreme)
        direction = np.where(turned, np.sign(step), direction).astype(int)
        for sign in (1, -1):
            recent[sign] = [*recent[sign][-2:], turned & (direction == sign)]
            if np.logical_or.reduce(recent[sign]).mean() > 0.25:
                changes[sign].append(k / FPS)
                recent[sign] = []
    starts = changes[1] + changes[-1]
    return max((min(sum(s <= t < s + 1.0 for t in changes[sign]) for sign in (1, -1)) for s in starts), default=0)


@pytest.mark.parametrize("scene", [strobe(5), strobe(15), strobe(8, 0.3, 0.7), halves, band, red])
def test_never_more_than_three_flashes_a_second(scene: Scene) -> None:
    assert flashes(show(scene, out__flash_limit=False)) > 3, "the test itself"
    limited = show(scene)
    assert flashes(limited) <= 3


@pytest.mark.parametrize(
    "scene", [strobe(1.0), strobe(2.5), strobe(8, 0.50, 0.55), strobe(8, 0.92, 1.0), spot, lambda t: grey(0.5)]
)
def test_what_is_no_danger_is_left_alone(scene: Scene) -> None:
    assert np.array_equal(show(scene), show(scene, out__flash_limit=False))


def test_light_and_level_are_limited_as_well() -> None:
    def flicker(t: float) -> FrameParams:
        return FrameParams(exposure=1.5 if t * 6 % 1.0 < 0.5 else -1.5)

    still = lambda t: grey(0.5)  # noqa: E731
    assert flashes(show(still, params=flicker, out__flash_limit=False)) > 3
    assert flashes(show(still, params=flicker)) <= 3


@pytest.mark.parametrize(("mix", "contrast"), [(0.2, 1.0), (0.5, 1.0), (0.5, 1.3)])
def test_a_blend_is_as_bright_as_it_is_composed(mix: float, contrast: float) -> None:
    old, new = (Frame(grey(value), k, 0.0, 0.0, 0.0) for k, value in enumerate((0.1, 0.9)))
    postfx = PostFxParams(mix=mix, contrast=contrast, mean=(0.5, 0.5, 0.5))
    composed = luminance(CpuCompositor(SIZE).compose(postfx, new, old) / 255.0)
    assert luminance(to_coded(FlashLimiter().light(postfx, new, old))) == pytest.approx(composed.mean(), abs=0.01)


def test_what_is_faded_in_after_a_death_is_limited_as_well() -> None:
    assert flashes(show(strobe(8), first=-1, out__flash_limit=False)) > 3, "the test itself"
    assert flashes(show(strobe(8), first=-1)) <= 3


@pytest.mark.parametrize("move", ["rotate", "zoom", "direction"])
def test_a_frame_that_jerks_is_limited_as_well(move: str) -> None:
    image, far, near = grey(0.0), 180.0, 0.0
    image[:, 32:] = 230  # two halves that change places
    if move == "zoom":
        image, far = grey(0.0), 2.0
        image[24:40, 24:40] = 230  # a bright middle that grows over the rest
    elif move == "direction":
        far, near = Direction(x=0.2), Direction(x=-0.2)  # type: ignore[assignment]

    def jerk(t: float) -> FrameParams:
        return FrameParams(**{move: far if t * 5 % 1.0 < 0.5 else near})  # type: ignore[arg-type]

    assert flashes(show(lambda t: image, params=jerk, out__flash_limit=False)) > 3, "the test itself"
    assert flashes(show(lambda t: image, params=jerk)) <= 3


def test_a_hand_on_blackout_is_limited_and_blackout_is_always_obeyed() -> None:
    store, interpolator = ParameterStore({"out.inbetween": False}), FrameInterpolator()
    interpolator.take(Frame(grey(0.9), 0, 0.0, 0.0, 0.0))
    levels = []
    for k in range(4 * FPS):
        store.set("out.blackout", k // 2 % 2 == 1)
        levels.append(interpolator.display_frame(k / FPS, FrameParams(), store.snapshot()).postfx.shown_level)
    levels_of_second = np.array(levels).reshape(4, FPS)
    assert all(v == 0.0 for k, v in enumerate(levels) if k // 2 % 2 == 1)
    assert all(np.sum(np.diff(second) > 0.4) <= 3 for second in levels_of_second)


def test_the_image_comes_back_when_the_strobe_ends() -> None:
    shown = show(lambda t: strobe(10)(t) if t < 2.0 else grey(0.6), 5.0)
    assert shown[-1].mean() == pytest.approx(luminance(np.array([0.6, 0.6, 0.6])), abs=0.02)
    assert np.max(np.abs(np.diff(shown[round(2.6 * FPS) :].mean(axis=(1, 2))))) < 0.08


def test_a_beat_of_the_default_map_is_never_touched() -> None:
    kicks = show(lambda t: grey(0.6), params=lambda t: FrameParams(exposure=0.137 * (t * 2.13 % 1.0 < 0.2), zoom=0.02))
    assert np.array_equal(
        kicks,
        show(
            lambda t: grey(0.6),
            params=lambda t: FrameParams(exposure=0.137 * (t * 2.13 % 1.0 < 0.2), zoom=0.02),
            out__flash_limit=False,
        ),
    )


def test_odd_input_does_no_harm() -> None:
    limiter = FlashLimiter()
    tiny, wide = (
        Frame(np.full((1, 1, 3), 200, np.uint8), 0, 0, 0, 0),
        Frame(np.zeros((3, 700, 3), np.uint8), 1, 0, 0, 0),
    )
    for k, now in enumerate([5.0, 5.0, 4.0, 4.1, 900.0, 900.01] * 20):
        gain = limiter.step(
            now,
            PostFxParams(exposure=float(k % 7 - 3), bloom=2.0, level=k % 2),
            (tiny, wide)[k % 2],
            (wide, tiny)[k % 2],
        )
        assert 0.0 <= gain <= 1.0 and np.isfinite(gain)


def test_samples_are_light_and_luminance_is_relative() -> None:
    assert samples(grey(1.0)) == pytest.approx(1.0) and samples(grey(0.0)) == pytest.approx(0.0)
    assert means(np.arange(16.0).reshape(4, 4), 2) == pytest.approx(np.array([[2.5, 4.5], [10.5, 12.5]]))
    assert luminance(np.array([1.0, 1.0, 1.0])) == pytest.approx(1.0)
    assert luminance(np.array([0.5, 0.5, 0.5])) == pytest.approx(0.2140, abs=1e-3)
