"""Detail: fine turbulence in the enlarged frames of an engine with soft images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from images import field, frame, snapshot

from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.hub.resolve import resolve_engine
from tpos_live.diffusion.model.metadata import EngineMetadata, read_metadata
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.postfx import PostFxParams, postfx_params
from tpos_live.display.tone_mapping import DETAIL_SPAN, detail_of, detail_tile

BLOTCHES = field(4, (128, 72))
OUTPUT = (640, 360)


def composed(postfx: PostFxParams, pixels: np.ndarray = BLOTCHES) -> np.ndarray:
    return CpuCompositor(OUTPUT).compose(postfx, frame(pixels)).astype(float)


def unevenness(image: np.ndarray) -> float:
    """Of a disc's edge: how far it lies from its mean radius, standard deviation in pixels."""
    inside = image[..., 0] > 128
    y, x = np.nonzero(inside[:, 1:] != inside[:, :-1])
    return float(np.hypot(x + 1 - OUTPUT[0] / 2, y + 0.5 - OUTPUT[1] / 2).std())


def test_the_tile_has_no_seam_no_mean_and_waves_of_every_size() -> None:
    tile = detail_tile()
    assert np.allclose(tile.mean((0, 1)), 0, atol=1e-5) and np.allclose(tile.std((0, 1)), 1, atol=1e-3)
    step = np.abs(np.diff(tile, axis=0)).mean()
    for axis in (0, 1):
        seam = np.abs(tile.take(0, axis) - tile.take(-1, axis)).mean()
        assert seam == pytest.approx(step, rel=0.5)
    power = np.abs(np.fft.fft(tile[..., 0], axis=1)).mean(0)
    assert all(power[k // 2 : k].mean() > 10 * power[200:256].mean() for k in (16, 32, 64, 128))


def test_a_soft_edge_becomes_a_ragged_one_in_its_place() -> None:
    y, x = np.mgrid[0:72, 0:128] + 0.5
    disc = 255 / (1 + np.exp((np.hypot(x - 64, y - 36) - 20) / 2))
    pixels = disc.round().astype(np.uint8)[..., None].repeat(3, 2)
    plain, fine = composed(PostFxParams(), pixels), composed(PostFxParams(detail=0.75), pixels)
    assert unevenness(plain) < 0.5 and 1.5 < unevenness(fine) < 5.0
    assert np.mean((plain[..., 0] > 128) != (fine[..., 0] > 128)) < 0.02
    assert fine.mean() == pytest.approx(plain.mean(), rel=0.03)


def test_detail_grows_with_the_enlargement_and_is_off_without() -> None:
    postfx = PostFxParams(detail=1.0)
    assert detail_of(postfx, (448, 256), (448, 256)) is None
    assert detail_of(PostFxParams(), (448, 256), (1920, 1080)) is None
    middle, large = (detail_of(postfx, (448, 256), size) for size in ((784, 448), (1920, 1080)))
    assert middle is not None and large is not None
    assert middle.reach[0] == pytest.approx(0.5 / 448) and large.reach == pytest.approx((1 / 448, 1 / 256))
    same = [CpuCompositor((128, 72)).compose(f, frame(BLOTCHES)) for f in (postfx, PostFxParams())]
    assert np.array_equal(*same)


def test_detail_changes_smoothly_and_repeats_after_one_turn() -> None:
    at = {turn: composed(PostFxParams(detail=0.75, detail_turn=turn)) for turn in (0.0, 0.005, 0.25, 1.0, -3.0)}
    assert np.array_equal(at[0.0], at[1.0]) and np.array_equal(at[0.0], at[-3.0])
    little, much = (np.abs(at[turn] - at[0.0]).mean() for turn in (0.005, 0.25))
    assert 0 < little < 0.06 * much


def test_it_lies_on_the_image_and_drifts_with_it() -> None:
    # The content is periodic, so that a picture drawn an eighth further is the same content moved.
    moved = field(4, (128, 72), (0.125, 0.0))
    here = composed(PostFxParams(detail=1.0))
    there = composed(PostFxParams(detail=1.0, detail_at=(0.125, 0.0)), moved)
    inner = slice(120, 560)
    assert np.abs(there[:, inner] - np.roll(here, 80, axis=1)[:, inner]).max() <= 2
    assert np.abs(composed(PostFxParams(detail=1.0), moved)[:, inner] - np.roll(here, 80, axis=1)[:, inner]).max() > 8


def test_the_engine_enables_detail_and_the_parameter_scales_it() -> None:
    params = FrameParams(noise_position=7.5, pan_x=3.0, pan_y=2.0, grain=0.0)
    soft, keen = replace(frame(BLOTCHES), detail=0.75), frame(BLOTCHES)
    assert postfx_params(params, snapshot(), None, keen, 1.0, 0.1).detail == 0.0
    assert postfx_params(params, snapshot(finish_detail=0.0), None, soft, 1.0, 0.1).detail == 0.0
    postfx = postfx_params(params, snapshot(finish_detail=2.0), None, soft, 1.0, 0.1)
    assert postfx.detail == 1.5 and postfx.detail_turn == pytest.approx(1.5) and postfx.detail_at == (3.0, -2.0)
    far = detail_of(replace(postfx, detail_at=(3.0 + 1000 * DETAIL_SPAN, 0.0)), (128, 72), OUTPUT)
    assert far is not None and 0.0 <= far.start[0] < 1.0


def test_ember_draws_softly_and_says_so() -> None:
    assert read_metadata(resolve_engine("ember")[0]).detail > 0.0 == EngineMetadata().detail
