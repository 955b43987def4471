"""The GL and the CPU compositor give the same image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from fakes.egl import headless_gl
from images import field, flat, frame

from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.postfx import PostFxParams

pytestmark = pytest.mark.gl


@pytest.fixture(scope="module")
def shader() -> Iterator[Any]:
    with headless_gl():
        from tpos_live.display.gl_compositor import GlCompositor

        yield GlCompositor()


def any_finish(random: np.random.Generator) -> PostFxParams:
    def number(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    return PostFxParams(
        zoom=number(0.7, 1.5),
        rotate=number(-180, 180),
        mix=float(random.choice([0.0, 0.3, 0.77, 1.0])),
        contrast=number(1, 1.2),
        mean=(number(0.2, 0.7), number(0.2, 0.7), number(0.2, 0.7)),
        pan_old=(number(-0.2, 0.2), number(-0.2, 0.2)),
        pan_new=(number(-0.2, 0.2), number(-0.2, 0.2)),
        bloom=float(random.choice([0.0, 0.35, 1.5])),
        exposure=number(-2, 2),
        saturation=number(0, 1.6),
        hue=float(random.choice([0.0, -45.0, 30.0])),
        level=number(0.1, 1),
        grain=number(0, 0.05),
        seed=int(random.integers(0, 2**31)),
        fit=str(random.choice(["cover", "contain", "mirror"])),  # type: ignore[arg-type]
        detail=float(random.choice([0.0, 0.7, 2.0])),
        detail_turn=number(-3, 100),
        detail_at=(number(-50, 50), number(-50, 50)),
    )


@pytest.mark.parametrize("case", range(24))
def test_gl_and_cpu_agree_within_2_of_255(shader: Any, case: int) -> None:
    random = np.random.default_rng(case)
    sizes = [(64, 64), (96, 54), (48, 80), (128, 128)]
    outputs = [(320, 180), (200, 301), (64, 64), (511, 289)]
    output = outputs[case % 4]
    new = frame(field(case, sizes[random.integers(4)]), 1)
    old = frame(field(case + 50, sizes[random.integers(4)]), 0)
    postfx = any_finish(random)
    shader.compose(postfx, new, old, output)
    got, want = shader.read(), CpuCompositor(output).compose(postfx, new, old)
    assert got.shape == want.shape == (output[1], output[0], 3)
    assert np.abs(got.astype(int) - want).max() <= 2
    assert np.abs(got.astype(int) - want).mean() < 0.1


def test_hard_edges_agree_too(shader: Any) -> None:
    board = np.where((np.indices((64, 64)).sum(0) // 8 % 2)[..., None] == 0, 255, 0).repeat(3, 2).astype(np.uint8)
    postfx = PostFxParams(zoom=1.05, rotate=7, bloom=0.5, exposure=0.7, grain=0.02, detail=1.0, detail_turn=0.3)
    shader.compose(postfx, frame(board), None, (640, 360))
    want = CpuCompositor((640, 360)).compose(postfx, frame(board))
    assert np.abs(shader.read().astype(int) - want).max() <= 2


@pytest.mark.parametrize(
    "postfx", [PostFxParams(level=0, grain=0.1, bloom=1), PostFxParams(blackout=True, grain=0.1, exposure=2)]
)
def test_level_zero_and_blackout_are_exactly_black(shader: Any, postfx: PostFxParams) -> None:
    shader.compose(postfx, frame(field(1)), None, (320, 180))
    assert shader.read().max() == 0


def test_a_frame_is_enlarged_once_and_frames_are_not_mixed_up(shader: Any) -> None:
    frames = [frame(field(i), i) for i in range(4)]
    compositor = CpuCompositor((160, 90))
    for previous, newest in pairwise(frames):
        for mix in (0.2, 0.8, 1.0):
            postfx = PostFxParams(mix=mix)
            shader.compose(postfx, newest, previous, (160, 90))
            assert np.abs(shader.read().astype(int) - compositor.compose(postfx, newest, previous)).max() <= 2


def test_asynchronous_reads_are_the_frames_asked_for(shader: Any) -> None:
    seen = []
    for value in (10, 60, 110, 160, 210):
        shader.compose(PostFxParams(), frame(flat(value)), None, (160, 90))
        shader.begin_read(float(value))
        seen += [(stamp, int(np.median(pixels))) for stamp, pixels in shader.finish_reads()]
    while len(seen) < 5:
        seen += [(stamp, int(np.median(pixels))) for stamp, pixels in shader.finish_reads()]
    assert [stamp for stamp, _ in seen] == [10, 60, 110, 160, 210]
    assert all(abs(stamp - value) <= 1 for stamp, value in seen)
    shader.begin_read(1.0)
    shader.drop_reads()
    assert list(shader.finish_reads()) == []


def test_another_size_of_output_and_frame(shader: Any) -> None:
    for size in ((100, 50), (301, 77), (100, 50)):
        shader.compose(PostFxParams(fit="contain"), frame(field(1, (80, 40))), None, size)
        assert shader.read().shape == (size[1], size[0], 3)
    postfx = replace(PostFxParams(), grain=0.01)
    shader.compose(postfx, frame(field(1, (1, 1))), None, (32, 32))
    assert (
        np.abs(shader.read().astype(int) - CpuCompositor((32, 32)).compose(postfx, frame(field(1, (1, 1))))).max() <= 2
    )
