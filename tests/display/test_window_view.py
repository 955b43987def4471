"""How the window shows the frame: crop, mirror, rotation, corner pin, soft edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from images import field, flat, frame, snapshot
from test_window import stage

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.output_view import OutputView
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import CORNERS
from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.window_view import PLAIN, SIDES, TURNED, place, turn, window_view

SIZE = (320, 180)


def at(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
    point = matrix @ (x, y, 1.0)
    assert point[2] > 0
    return point[:2] / point[2]


def test_nothing_is_changed_by_the_defaults() -> None:
    assert window_view(ParameterStore().snapshot()) == PLAIN
    placed, turned = place(PLAIN, SIZE, SIZE), turn(PLAIN)
    for point in np.random.default_rng(0).random((20, 2)):
        assert at(turned @ placed, *point) == pytest.approx(point)


@pytest.mark.parametrize("window", [SIZE, (180, 320), (1920, 1080)])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("seed", range(4))
def test_the_corners_of_the_image_are_where_they_were_moved(window: tuple[int, int], rotate: int, seed: int) -> None:
    moves = np.random.default_rng(seed).uniform(-0.2, 0.2, (4, 2))
    view = OutputView(rotate=rotate, corners=tuple((float(x), float(y)) for x, y in moves))
    placed = place(view, window, view.turned(window))
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    for corner, move in zip(square, moves, strict=True):
        assert at(placed, *(corner + move)) == pytest.approx(corner, abs=1e-6)


@pytest.mark.parametrize("moves", [[(0.5, 0), (-0.5, 0)] * 2, [(0.4, 0.4), (-0.4, 0.4), (-0.4, -0.4), (0.4, -0.4)]])
def test_corners_on_one_line_or_crossed_are_not_moved(moves: list[tuple[float, float]]) -> None:
    moves = [(1.2 * x, 1.3 * y) for x, y in moves]
    assert np.allclose(place(OutputView(corners=tuple(moves)), SIZE, SIZE), place(PLAIN, SIZE, SIZE))


def test_an_image_tilted_so_far_that_a_corner_of_the_window_is_on_its_horizon_is_placed() -> None:
    """There the equations from the window to the image have no solution with a last number of 1."""
    moves = ((0.0, 0.5), (-0.25, 0.5), (0.0, -0.25), (-0.5, 0.125))
    placed = place(OutputView(corners=moves), SIZE, SIZE)
    for corner, move in zip(((0, 0), (1, 0), (1, 1), (0, 1)), moves, strict=True):
        assert at(placed, *np.add(corner, move)) == pytest.approx(corner, abs=1e-6)


def test_a_crop_always_leaves_something() -> None:
    everything = {f"out_window.crop.{side}": 0.99 for side in SIDES}
    left, top, right, bottom = window_view(snapshot(**everything)).crop
    assert left < right <= 1 and top < bottom <= 1


def shown(store: ParameterStore, pixels: np.ndarray, **values: Any) -> tuple[np.ndarray, np.ndarray]:
    """The composed frame and the window, with these parameters of `out.window`."""
    store.update({"out.messages": "off", **{f"out.window.{name}": value for name, value in values.items()}})
    with stage("window", store, [FrameParams()]) as (made, frames):
        made.overlay = OutputTransform("window", store.snapshot)
        frames.put(frame(pixels, 0, 1.0))
        made.step(2.0)
        made.step(2.1)
        return made.read_back(), made.read_window()


@pytest.mark.gl
@pytest.mark.parametrize("mirror", ["off", "horizontal", "both"])
@pytest.mark.parametrize("rotate", list(TURNED))
def test_the_window_mirrors_and_turns_as_other_outputs_do(mirror: str, rotate: str) -> None:
    store = ParameterStore()
    composed, window = shown(store, field(1, (160, 90)), mirror=mirror, rotate=rotate)
    wanted = OutputTransform("window", store.snapshot, None, window_view(store.snapshot()))(composed)
    assert wanted.shape == (180, 320, 3)
    assert np.abs(window.astype(int) - wanted).max() <= 8  # EGL's surface has fewer bits


@pytest.mark.gl
def test_a_part_is_shown_whole_and_the_card_fills_it() -> None:
    store = ParameterStore()
    composed, window = shown(store, field(1, (160, 90)), **{"crop.left": 0.5, "crop.bottom": 0.5})
    assert np.abs(window[1::2, 1::2].astype(int) - composed[:90, 160:]).mean() < 6
    store.set("out.testcard", True)
    _, window = shown(store, field(1, (160, 90)))
    for edge in (window[0], window[-1], window[:, 0], window[:, -1]):
        assert edge.min() > 230


@pytest.mark.gl
def test_soft_edges_that_overlap_add_up_to_one_image() -> None:
    def light(pixels: np.ndarray) -> np.ndarray:
        return (pixels[90, :, 1] / 255.0) ** 2.2

    left = light(shown(ParameterStore(), flat(255), **{"edge.right": 0.25})[1])
    right = light(shown(ParameterStore(), flat(255), **{"edge.left": 0.25})[1])
    assert np.abs(left[240:] + right[:80] - 1).max() < 0.08
    assert left[:236].min() > 0.95 and left[-1] < 0.02


@pytest.mark.gl
def test_outside_of_the_corners_is_black_and_the_level_of_black_inside() -> None:
    store = ParameterStore()
    moves = {f"corner.{name}.x": 0.25 if "left" in name else -0.25 for name in CORNERS}
    moves |= {f"corner.{name}.y": 0.25 if "top" in name else -0.25 for name in CORNERS}
    _, window = shown(store, flat(0), black=0.2, **moves)
    assert window[:44].max() == 0 and window[:, :79].max() == 0
    assert abs(int(np.median(window[50:130, 85:235])) - 51) <= 8
    store.set("out.blackout", True)
    assert shown(store, flat(0))[1].max() == 0
