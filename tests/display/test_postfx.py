"""Post-processing parameters: what the sound controls, and interpolation without ghosting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from images import field, flat, frame, snapshot

from tpos_live.core.frame_params import FrameParams
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.interpolator import FrameInterpolator, start_frame
from tpos_live.display.postfx import MIN_SIMILARITY, REACH, PostFxParams, postfx_params

QUIET = FrameParams(grain=0.0)


def contrast(image: np.ndarray) -> float:
    return float(image.astype(float).std(axis=(0, 1)).mean())


def midpoint(old: np.ndarray, new: np.ndarray, **move: float) -> tuple[PostFxParams, np.ndarray, np.ndarray]:
    """The interpolated frame half way, and the newest frame alone at that moment."""
    previous, newest = frame(old, 0, 10.0), frame(new, 1, 10.2, **move)
    params = replace(QUIET, pan_x=newest.pan_x, pan_y=newest.pan_y)
    postfx = postfx_params(params, snapshot(), previous, newest, 10.3, 0.2)
    compositor = CpuCompositor((192, 192))
    return postfx, compositor.compose(postfx, newest, previous), compositor.compose(PostFxParams(), newest)


def test_events_come_from_the_frame_params_unchanged() -> None:
    newest = frame(field(1) // 2, at=5.0)  # a brighter one gets less bloom
    before = postfx_params(QUIET, snapshot(), None, newest, 5.1, 0.1)
    after = postfx_params(
        replace(QUIET, zoom=0.025, rotate=0.6, exposure=0.5, bloom=0.4), snapshot(), None, newest, 5.1, 0.1
    )
    assert (before.zoom, before.rotate, before.exposure, before.bloom) == (1.0, 0.0, 0.0, 0.0)
    assert (after.zoom, after.rotate, after.exposure, after.bloom) == (1.025, 0.6, 0.5, 0.4)


def test_a_kick_changes_the_image_without_a_new_frame() -> None:
    newest, compositor = frame(field(1), at=5.0), CpuCompositor((160, 90))
    postfx = postfx_params(QUIET, snapshot(), None, newest, 5.1, 0.1)
    still = compositor.compose(postfx, newest)
    again = compositor.compose(postfx_params(QUIET, snapshot(), None, newest, 5.1, 0.1), newest)
    kick = compositor.compose(postfx_params(replace(QUIET, zoom=0.025), snapshot(), None, newest, 5.1, 0.1), newest)
    assert np.array_equal(still, again)
    assert np.abs(kick.astype(int) - still).max() > 5


def test_the_mix_goes_from_the_previous_to_the_newest_in_one_interval() -> None:
    old, new = frame(field(1), 0, 10.0), frame(field(1), 1, 10.2)
    mixes = [postfx_params(QUIET, snapshot(), old, new, 10.2 + t, 0.2).mix for t in (0, 0.05, 0.1, 0.2, 0.5)]
    assert mixes == pytest.approx([0, 0.25, 0.5, 1, 1])


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.1, 0.0), (-0.06, 0.125), (0.2, -0.2)])
def test_a_moving_field_keeps_its_contrast_and_sharpness_half_way(shift: tuple[float, float]) -> None:
    postfx, between, newest = midpoint(field(3), field(3, shift=shift), pan_x=shift[0], pan_y=-shift[1])
    assert postfx.mix == pytest.approx(0.5)
    assert contrast(between) >= 0.9 * contrast(newest)
    # The contents of both frames coincide: no ghost.
    inner = (slice(48, 144), slice(48, 144))
    assert np.abs(between[inner].astype(int) - newest[inner]).mean() < 3


def test_without_the_warp_the_same_frames_would_ghost() -> None:
    postfx, between, newest = midpoint(field(3), field(3, shift=(0.05, 0)))
    inner = (slice(48, 144), slice(48, 144))
    assert postfx.mix < 1
    assert np.abs(between[inner].astype(int) - newest[inner]).mean() > 10


def test_similar_frames_are_blended_at_full_contrast_and_others_are_cut() -> None:
    base = field(5).astype(float)
    seen = set()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0):
        other = np.clip(base * (1 - share) + field(6) * share, 0, 255).astype(np.uint8)
        postfx, between, newest = midpoint(field(5), other)
        seen.add(round(postfx.mix, 6))
        ends = min(contrast(newest), contrast(CpuCompositor((192, 192)).compose(PostFxParams(), frame(field(5)))))
        assert contrast(between) >= 0.9 * ends, share
        assert postfx.contrast <= 1 / np.sqrt((1 + MIN_SIMILARITY) / 2) + 1e-6
    assert seen == {0.5, 1.0}


def test_another_cut_index_another_size_and_the_switch_are_cut() -> None:
    old, new = frame(field(1), 0, 10.0), frame(field(1), 1, 10.2)
    assert postfx_params(QUIET, snapshot(), old, replace(new, cut_index=1), 10.25, 0.2).mix == 1
    assert postfx_params(QUIET, snapshot(), frame(field(1, (64, 32))), new, 10.25, 0.2).mix == 1
    assert postfx_params(QUIET, snapshot(out_inbetween=False), old, new, 10.25, 0.2).mix == 1
    assert postfx_params(QUIET, snapshot(), old, new, 10.25, 0.01).mix == 1
    assert postfx_params(QUIET, snapshot(), None, new, 10.25, 0.2).mix == 1


def test_the_shown_field_follows_the_drift_and_rests_when_the_engine_is_stuck() -> None:
    newest = frame(field(1), at=5.0, pan_x=0.3, pan_y=0.1)
    near = postfx_params(replace(QUIET, pan_x=0.32, pan_y=0.11), snapshot(), None, newest, 5.1, 0.1)
    assert near.pan_new == pytest.approx((0.02, -0.01), rel=0.01)
    far = postfx_params(replace(QUIET, pan_x=100.0), snapshot(), None, newest, 90.0, 0.1)
    assert far.pan_new[0] <= REACH


def test_the_level_falls_with_the_fader_even_if_the_frame_params_are_old() -> None:
    assert postfx_params(FrameParams(level=1.0), snapshot(out_level=0.2), None, None, 0, 0).level == pytest.approx(0.2)
    assert postfx_params(FrameParams(level=0.1), snapshot(), None, None, 0, 0).level == pytest.approx(0.1)


def test_freeze_holds_the_image_but_level_and_blackout_still_act() -> None:
    head, compositor = FrameInterpolator(), CpuCompositor((160, 90))
    head.take(frame(field(1), 0, 1.0))
    shown = head.display_frame(1.1, FrameParams(zoom=0.01, grain=0.02), snapshot())
    head.take(frame(field(2), 1, 1.2))
    held = head.display_frame(3.0, FrameParams(zoom=0.2, grain=0.02), snapshot(out_freeze=True))
    assert held.newest is shown.newest and held.postfx == shown.postfx
    half = head.display_frame(3.1, FrameParams(), snapshot(out_freeze=True, out_level=0.5))
    assert half.postfx.level == 0.5 and half.newest is shown.newest
    black = head.display_frame(3.2, FrameParams(), snapshot(out_freeze=True, out_blackout=True))
    assert compositor.compose(black.postfx, black.newest).max() == 0
    assert head.display_frame(3.3, FrameParams(), snapshot()).newest.index == 1


def test_the_start_screen_is_dark_calm_and_obeys_blackout() -> None:
    head, compositor = FrameInterpolator(), CpuCompositor((320, 180))
    display_frame = head.display_frame(1.0, FrameParams(), snapshot())
    assert not display_frame.started and display_frame.newest is start_frame()
    image = compositor.compose(display_frame.postfx, display_frame.newest)
    assert 5 < image.mean() < 50 and image.max() < 130
    black = head.display_frame(1.1, FrameParams(), snapshot(out_blackout=True))
    assert compositor.compose(black.postfx, black.newest).max() == 0


def test_the_interval_is_measured_and_a_stall_does_not_count() -> None:
    head = FrameInterpolator()
    for i in range(30):
        head.take(frame(flat(9), i, i * 0.1))
    assert head.interval == pytest.approx(0.1)
    head.take(frame(flat(9), 30, 60.0))
    assert head.interval == pytest.approx(0.1)
