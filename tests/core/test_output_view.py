"""The words after an output's name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tpos_live.core.output_names import OutputSpec, check_outputs, parse_output
from tpos_live.core.output_view import MIRRORS, MOST_TILES, TURNS, Mirror, OutputView, split_view
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.display.output_transform import OutputTransform


@pytest.mark.parametrize("size", [(1280, 720), (1921, 1081), (101, 67)])
@pytest.mark.parametrize("tiles", [(2, 1), (3, 2), (1, 7), (4, 4)])
@pytest.mark.parametrize("rotate", [0, 90])
def test_tiles_cover_every_pixel_once(size: tuple[int, int], tiles: tuple[int, int], rotate: int) -> None:
    covered = np.zeros((size[1], size[0]), int)
    specs = parse_output(f"ndi:wall rotate={rotate} tile={tiles[0]}x{tiles[1]}")
    for spec in specs:
        left, top, right, bottom = spec.view.box(size)
        covered[top:bottom, left:right] += 1
        sides = (right - left, bottom - top)
        assert spec.view.size(size) == (sides[::-1] if rotate else sides)
    assert (covered == 1).all()
    assert [spec.address for spec in specs] == [f"wall {n}" for n in range(1, tiles[0] * tiles[1] + 1)]


def test_words_are_read_from_the_end_in_any_order() -> None:
    words = "mirror=both black=0.05 crop=0.1,0.2,0.5,1 rotate=270 gamma=1.2"
    view = OutputView((0.1, 0.2, 0.5, 1.0), "both", 270, 1.2, 0.05)
    assert parse_output(f"ndi:my stage  {words}") == [OutputSpec("ndi", "my stage", view)]
    assert parse_output(f"my show.mp4 {words}") == [OutputSpec("file", "my show.mp4", view)]
    assert parse_output(f"rtmp://h/a/k {words}")[0].name == "rtmp://h/a/***"
    shape = "edge=0.1,0,0,0.2 corners=0.1,0,0,0,0,0,0,-0.5"
    corners = ((0.1, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, -0.5))
    assert parse_output(f"camera {shape}")[0].view == OutputView(edges=(0.1, 0, 0, 0.2), corners=corners)
    assert parse_output("ndi:a edge=0.3")[0].view.edges == 4 * (0.3,)
    assert parse_output("ndi:stage") == [OutputSpec("ndi", "stage")]


def test_tiles_lie_within_the_crop() -> None:
    left, right = parse_output("ndi:wall crop=0.5,0,1,1 tile=2x1")
    assert left.view.crop == (0.5, 0, 0.75, 1) and right.view.crop == (0.75, 0, 1, 1)


@pytest.mark.parametrize("tiles", [(2, 1), (3, 2), (1, 4)])
@pytest.mark.parametrize("mirror", MIRRORS)
@pytest.mark.parametrize("rotate", TURNS)
def test_parts_that_overlap_have_soft_edges_where_they_do(tiles: tuple[int, int], mirror: Mirror, rotate: int) -> None:
    columns, rows = tiles
    whole = OutputView((0.1, 0.0, 0.9, 1.0), mirror, rotate)
    views = whole.tile(columns, rows, 0.2)
    boxes = np.array([view.crop for view in views])
    assert boxes[:, :2].min(0) == pytest.approx((0.1, 0)) and boxes[:, 2:].max(0) == pytest.approx((0.9, 1))
    width, height = boxes[0, 2] - boxes[0, 0], boxes[0, 3] - boxes[0, 1]
    for n, view in enumerate(views):
        column, row = n % columns, n // columns
        if column + 1 < columns:
            assert view.crop[2] - views[n + 1].crop[0] == pytest.approx(0.2 * width)
        if row + 1 < rows:
            assert view.crop[3] - views[n + columns].crop[1] == pytest.approx(0.2 * height)
        outer = np.full((100, 100, 3), 255, np.uint8)
        for soft, part in (
            (column > 0, np.s_[:, :10]), (row > 0, np.s_[:10]),
            (column + 1 < columns, np.s_[:, 90:]), (row + 1 < rows, np.s_[90:]),
        ):  # fmt: skip
            outer[part] = np.where(soft, 0, outer[part])
        shown = OutputTransform("a", ParameterStore().snapshot, view=replace(view, crop=(0, 0, 1, 1)))
        turned = OutputTransform("a", ParameterStore().snapshot, view=OutputView(mirror=mirror, rotate=rotate))
        found, wanted = shown(np.full_like(outer, 255)) < 186, turned(outer) < 186  # at half of the edge
        assert np.array_equal(found[50], wanted[50]) and np.array_equal(found[:, 50], wanted[:, 50])


def test_one_part_overlaps_nothing_and_no_key_is_shown() -> None:
    with pytest.raises(ValueError, match="edge=") as caught:
        parse_output("rtmp://host/app/a_key overlap=0.1")
    assert "a_key" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    ["crop=0,0,1", "crop=0.5,0,0.5,1", "crop=0,0,2,1", "crop=nan,0,1,1", "crop=", "tile=0x1", "tile=2", "tile=5x5",
     "mirror=left", "rotate=45", "gamma=0", "gamma=nan", "gamma=a", "black=1", "size=3",
     "edge=0.6", "edge=0.1,0.1", "edge=nan", "corners=0,0,0,0", "corners=0.6,0,0,0,0,0,0,0", "tile=2x1 overlap=0.6",
     "crop=0,0,1,1 crop=0,0,1,1"],
)  # fmt: skip
def test_bad_words_are_one_line(words: str) -> None:
    assert MOST_TILES < 5 * 5
    with pytest.raises(ValueError, match="crop=LEFT") as caught:
        split_view(f"ndi:stage {words}")
    assert "\n" not in str(caught.value)


def test_tiles_are_on_the_screens_that_are_named() -> None:
    assert parse_output("screen:HDMI-1 rotate=90") == [OutputSpec("screen", "HDMI-1", OutputView(rotate=90))]
    first, second = parse_output("screen:My monitor, 2 tile=2x1")
    assert (first.name, first.view.crop) == ("screen:My monitor", (0, 0, 0.5, 1))
    assert (second.name, second.view.crop) == ("screen:2", (0.5, 0, 1, 1))


@pytest.mark.parametrize("text", ["screen:", "screen", "screen:1,2", "screen:1 tile=2x1", "screen:1,1 tile=2x1",
                                  "screen:1, tile=2x1", "screen:1,2 tile=2x2"])  # fmt: skip
def test_as_many_screens_are_named_as_there_are_tiles(text: str) -> None:
    with pytest.raises(ValueError, match="screen:1,2 tile=2x1"):
        parse_output(text)


def test_no_place_gets_two_outputs() -> None:
    for texts in (["screen:1", "screen:1,2 tile=2x1"], ["ndi:a 2", "ndi:a tile=2x1"], 2 * ["rtmp://host/app/a_key"]):
        with pytest.raises(ValueError, match="is named twice") as caught:
            check_outputs(texts)
        assert "a_key" not in str(caught.value)
    fine = ["rtmp://host/app/1", "rtmp://host/app/2", "a.mp4", "a.mp4", "screen:0", "ndi:0"]
    assert check_outputs(fine) == fine


def test_only_ndi_has_names_for_tiles() -> None:
    with pytest.raises(ValueError, match="crop=") as caught:
        parse_output("rtmp://host/app/a_key tile=2x1")
    assert "a_key" not in str(caught.value)


def test_a_part_has_two_pixels_at_least() -> None:
    assert OutputView((0.999, 0.0, 1.0, 0.001)).box((64, 64)) == (62, 0, 64, 2)
