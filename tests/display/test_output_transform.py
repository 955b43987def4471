"""Test card and logo: where they appear, on the window and in the outputs."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from images import field, flat, frame
from PIL import Image
from test_recorder import feed
from test_video import frames_of
from test_window import stage

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.output_names import parse_output
from tpos_live.core.output_view import MIRRORS, TURNS, Mirror, OutputView
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import OutputSettings, RecordSettings
from tpos_live.display.errors import DisplayError
from tpos_live.display.logo import Logo, LogoPlace
from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.patch import Patch
from tpos_live.display.test_card import make_test_card
from tpos_live.runtime.outputs import ExtraOutputs
from tpos_live.runtime.session_controls import SessionControls

SIZE = (320, 180)


@pytest.fixture
def logo(tmp_path: Path) -> Path:
    """A red square on a transparent one of twice its size."""
    pixels = np.zeros((80, 80, 4), np.uint8)
    pixels[20:60, 20:60] = 255, 0, 0, 255
    Image.fromarray(pixels).save(tmp_path / "logo.png")
    return tmp_path / "logo.png"


def red(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 0] > 200) & (pixels[..., 1] < 60)


def test_a_patch_is_blended_by_its_opacity() -> None:
    random = np.random.default_rng(0)
    below, above = field(1, SIZE), random.integers(0, 256, (50, 60, 4), np.uint8)
    before = below.copy()
    found = Patch(above, 200, 100).over(below)
    part = above[..., 3:] / 255
    wanted = np.rint(before[100:150, 200:260] * (1 - part) + above[..., :3] * part)
    assert np.abs(found[100:150, 200:260] - wanted).max() <= 1
    found[100:150, 200:260] = before[100:150, 200:260]
    assert np.array_equal(found, before) and np.array_equal(below, before)


@pytest.mark.parametrize("size", [SIZE, (180, 320), (1920, 1080), (64, 64), (65, 4000)])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 1), (0.5, 0.2)])
@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_a_logo_is_never_cut_off(logo: Path, size: tuple[int, int], x: float, y: float, share: float) -> None:
    patch = Logo(logo).patch(LogoPlace(x, y, share, 1.0), size)
    assert patch is not None
    height, width = patch.pixels.shape[:2]
    assert width == height and width == pytest.approx(min(share * size[1], size[0]), abs=1)
    assert patch.left == round(x * (size[0] - width)) and patch.top == round(y * (size[1] - height))


def test_two_recordings_of_unlike_sizes_get_a_logo_each(logo: Path) -> None:
    """One recording is still written when the next one begins, each on a thread of its own."""
    transform, ended = OutputTransform("recording", ParameterStore().snapshot, Logo(logo)), threading.Event()
    wrong: list[int] = []

    def write(side: int) -> None:
        first = transform.logo((side, side))
        assert first is not None
        while not ended.is_set():
            patch = transform.logo((side, side))
            if patch is None or patch.pixels.shape != first.pixels.shape:
                wrong.append(side)
                ended.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns after every microsecond
    threads = [threading.Thread(target=write, args=(side,)) for side in (16, 64)]
    try:
        for thread in threads:
            thread.start()
        ended.wait(1.0)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)
    assert not wrong


@pytest.mark.parametrize("content", [b"", b"a text", b"\x89PNG\r\n\x1a\n and no more"])
def test_what_is_no_image_is_one_line_and_the_show_goes_on(tmp_path: Path, content: bytes, messages: list[str]) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    for name in ("bad.png", "missing.png"):
        with pytest.raises(DisplayError, match="name a PNG") as caught:
            Logo(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)
    output = OutputSettings(logo=str(tmp_path / "bad.png"))
    controls = SessionControls(ParameterStore(), SimpleNamespace(), output=output)  # type: ignore[arg-type]
    assert len(messages) == 1 and "the show goes on" in messages[0]
    assert controls.overlay.card(SIZE) is None and controls.overlay.logo(SIZE) is None


@pytest.mark.parametrize("size", [SIZE, (1921, 1081), (180, 320), (64, 64), (2, 2)])
def test_a_card_shows_its_edges_and_is_of_its_output(size: tuple[int, int]) -> None:
    pixels = make_test_card(size, "ndi:left").pixels
    assert pixels.shape == (size[1], size[0], 4) and (pixels[..., 3] == 255).all()
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()
    if min(size) > 100:
        assert not np.array_equal(pixels, make_test_card(size, "ndi:right").pixels)
        for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (128, 128, 128)):
            assert (pixels[..., :3] == colour).all(-1).any()


def test_blackout_hides_all_and_the_master_fader_nothing(logo: Path) -> None:
    store, pixels = ParameterStore(), flat(0, SIZE)
    overlay = OutputTransform("window", store.snapshot, Logo(logo))
    store.update({"out.level": 0.0, "out.logo.size": 0.5})
    assert red(overlay(pixels)).sum() == pytest.approx(45 * 45, rel=0.1)
    assert overlay.card(SIZE) is None and overlay.logo(SIZE) is overlay.logo(SIZE)
    store.set("out.logo.opacity", 0.0)
    assert np.shares_memory(overlay(pixels), pixels)
    store.set("out.testcard", True)
    assert np.array_equal(overlay(pixels), make_test_card(SIZE, "window").pixels[..., :3])
    store.set("out.blackout", True)
    assert np.shares_memory(overlay(pixels), pixels)


@pytest.mark.parametrize("logo_recorded", [False, True])
def test_files_of_output_have_both_and_recordings_the_logo_if_asked(
    tmp_path: Path, logo: Path, logo_recorded: bool
) -> None:
    store = ParameterStore()
    store.update({"out.logo.x": 0.0, "out.logo.size": 0.6})
    controls = SessionControls(
        store,
        SimpleNamespace(),  # type: ignore[arg-type]
        RecordSettings(file=str(tmp_path / "record.mp4"), logo=logo_recorded),
        OutputSettings(to=[str(tmp_path / "out.mkv")], logo=str(logo)),
    )
    outputs: list = []
    controls.outputs.update(1.0, (160, 90), outputs)
    assert controls.recordings.begin((160, 90), outputs)
    feed(outputs[0], 0.5)
    feed(outputs[1], 0.5)
    controls.outputs.close(outputs)
    controls.recordings.close(outputs)
    assert red(frames_of(tmp_path / "out.mkv")[5][1])[45:, :45].sum() > 300
    assert (red(frames_of(tmp_path / "record.mp4")[5][1])[45:, :45].sum() > 300) == logo_recorded


def test_each_output_gets_a_card_of_its_own(tmp_path: Path) -> None:
    store, outputs = ParameterStore(), []  # type: ignore[var-annotated]
    store.set("out.testcard", True)
    file = tmp_path / "card.mp4"
    extra = ExtraOutputs(OutputSettings(to=[str(file)]), store.snapshot)
    extra.update(1.0, (160, 90), outputs)
    feed(outputs[0], 0.5)
    extra.close(outputs)
    card = make_test_card((160, 90), str(file)).pixels[..., :3]
    assert np.abs(frames_of(file)[5][1].astype(int) - card).mean() < 12


@pytest.mark.gl
def test_the_window_shows_them_and_the_composed_frame_has_none(logo: Path) -> None:
    store = ParameterStore()
    with stage("window", store, [FrameParams()]) as (made, frames):
        made.overlay = OutputTransform("window", store.snapshot, Logo(logo))
        store.update({"out.logo.size": 0.4, "out.logo.y": 0.0, "out.messages": "off"})
        frames.put(frame(flat(90), 0, 1.0))
        made.step(2.0)
        made.step(2.1)
        composed, window = made.read_back(), made.read_window()
        patch = made.overlay.logo(SIZE)
        assert np.abs(window.astype(int) - patch.over(composed)).max() <= 8  # EGL's surface has fewer bits
        assert red(window).any()
        assert not red(composed).any()
        store.set("out.testcard", True)
        made.step(2.2)
        assert np.abs(made.read_window().astype(int) - make_test_card(SIZE, "window").pixels[..., :3]).max() <= 8
        store.set("out.blackout", True)
        made.step(2.3)
        assert made.read_window().max() == 0


@pytest.mark.parametrize("mirror", MIRRORS)
@pytest.mark.parametrize("rotate", TURNS)
@pytest.mark.parametrize("card", [False, True])
def test_a_part_of_the_frame_leaves_mirrored_and_turned(mirror: Mirror, rotate: int, card: bool) -> None:
    store, pixels = ParameterStore(), field(2, SIZE)
    store.set("out.testcard", card)
    view = OutputView((0.25, 0.5, 0.75, 1.0), mirror, rotate)
    transform = OutputTransform("ndi:left", store.snapshot, None, view)
    found = transform(pixels)
    assert (found.shape[1], found.shape[0]) == transform.size(SIZE)
    wanted = make_test_card((160, 90), "ndi:left").pixels[..., :3] if card else pixels[90:, 80:240]
    image = Image.fromarray(wanted)
    if mirror in ("horizontal", "both"):
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if mirror in ("vertical", "both"):
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    assert np.array_equal(found, np.asarray(image.rotate(-rotate, expand=True)))


def test_gamma_and_black_level_keep_white_and_blackout(logo: Path) -> None:
    store = ParameterStore()
    transform = OutputTransform("a", store.snapshot, None, OutputView(gamma=2.0, black=0.1))
    levels = [int(transform(flat(value))[0, 0, 0]) for value in range(256)]
    assert levels[0] == 26 and levels[255] == 255 and sorted(levels) == levels and levels[64] > 128
    store.set("out.blackout", True)
    assert transform(flat(0)).max() == 0


def test_soft_edges_of_parts_that_overlap_add_up_to_the_image_in_linear_light() -> None:
    store, pixels = ParameterStore(), field(3, SIZE)
    specs = parse_output("ndi:wall tile=2x2 overlap=0.25")
    light = np.zeros((*pixels.shape[:2], 3))
    for spec in specs:
        left, top, right, bottom = spec.view.box(SIZE)
        part = OutputTransform(spec.name, store.snapshot, None, spec.view)(pixels)
        light[top:bottom, left:right] += (part / 255.0) ** 2.2
    wanted = (pixels / 255.0) ** 2.2
    assert np.abs(light - wanted).max() < 0.03 and np.abs(light - wanted).mean() < 0.005


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (853, 479)])
@pytest.mark.parametrize(
    "words",
    [
        "tile=2x1 overlap=0.05",
        "tile=3x2 overlap=0.1 rotate=90",
        "tile=2x2 overlap=0.5 mirror=both rotate=270",
        "tile=4x4 overlap=0.03 mirror=horizontal",
    ],
)
def test_a_white_wall_is_as_bright_in_its_overlaps(size: tuple[int, int], words: str) -> None:
    """Parts have whole pixels, so their soft edges are not the same share of each. With that share, overlaps of two
    parts had 92.6 to 104.4 % of the light. What remains is the rounding of four values to eight bits."""
    pixels, light = flat(255, size), np.zeros(size[::-1])
    for spec in parse_output(f"ndi:wall {words}"):
        left, top, right, bottom = spec.view.box(size)
        part = np.rot90(
            OutputTransform(spec.name, ParameterStore().snapshot, None, spec.view)(pixels), spec.view.rotate // 90
        )
        part = part[:: -1 if spec.view.mirror == "both" else 1, :: 1 if spec.view.mirror == "off" else -1]
        light[top:bottom, left:right] += (part[..., 0] / 255.0) ** 2.2
    assert np.abs(light - 1.0).max() < 0.018


def test_a_picture_between_its_corners_is_black_outside_and_leaves_others_alone() -> None:
    store, pixels = ParameterStore(), field(4, SIZE)
    before, corners = pixels.copy(), ((0.25, 0.25), (-0.25, 0.25), (-0.25, -0.25), (0.25, -0.25))
    transform = OutputTransform("a", store.snapshot, None, OutputView(black=0.2, edges=(0.1,) * 4, corners=corners))
    found = transform(pixels)
    assert found.shape == pixels.shape and np.array_equal(pixels, before)
    assert found[:44].max() == found[136:].max() == found[:, :79].max() == found[:, 241:].max() == 0
    flat_one = OutputTransform("a", store.snapshot, None, OutputView(black=0.2, edges=(0.1,) * 4))(pixels)
    halved = flat_one.reshape(90, 2, 160, 2, 3).mean((1, 3))
    assert np.abs(found[45:135, 80:240] - halved).max() <= 1
    store.set("out.blackout", True)
    assert transform(flat(0, SIZE)).max() == 0


@pytest.mark.parametrize("rotate", TURNS)
def test_the_corners_of_a_part_are_moved_as_those_of_a_whole_frame(rotate: int) -> None:
    """The crop is applied once: the output has the size of the crop."""
    pixels, corners = flat((200, 200, 200), SIZE), ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.1, 0.0))
    view = OutputView((0.0, 0.0, 0.5, 1.0), rotate=rotate, corners=corners)
    leaves = OutputTransform("a", ParameterStore().snapshot, None, view)(pixels)
    assert (leaves[..., 0] > 100).mean() == pytest.approx(0.95, abs=0.02)


def test_a_file_has_soft_edges_and_moved_corners(tmp_path: Path) -> None:
    outputs, file = [], tmp_path / "pinned.mp4"  # type: ignore[var-annotated]
    words = "edge=0,0,0.2,0 corners=0.25,0,0,0,0,0,0,0"
    store = ParameterStore()
    extra = ExtraOutputs(OutputSettings(to=[f"{file} {words}"]), store.snapshot)
    extra.update(1.0, (160, 90), outputs)
    feed(outputs[0], 0.5)
    extra.close(outputs)
    store.set("out.testcard", True)
    plain = tmp_path / "plain.mp4"
    extra = ExtraOutputs(OutputSettings(to=[str(plain), f"{tmp_path / 'card.mp4'} {words}"]), store.snapshot)
    extra.update(1.0, (160, 90), outputs)
    for output in outputs:
        feed(output, 0.5)
    extra.close(outputs)
    spec = parse_output(f"{tmp_path / 'card.mp4'} {words}")[0]
    wanted = OutputTransform(spec.name, store.snapshot, None, spec.view)(flat(0, (160, 90)))
    found = frames_of(tmp_path / "card.mp4")[5][1].astype(int)
    assert np.abs(found - wanted).mean() < 12 < np.abs(found - frames_of(plain)[5][1]).mean()
    assert frames_of(file)[5][1][:20, :10].max() < 40


def test_a_logo_crosses_the_tiles_of_a_wall(logo: Path) -> None:
    store, pixels = ParameterStore(), flat(0, SIZE)
    store.update({"out.logo.x": 0.5, "out.logo.y": 0.5, "out.logo.size": 1.0})
    parts = [
        OutputTransform(spec.name, store.snapshot, Logo(logo), spec.view)(pixels)
        for spec in parse_output("ndi:wall tile=2x2")
    ]
    rows = [np.concatenate(parts[:2], 1), np.concatenate(parts[2:], 1)]
    assert np.array_equal(np.concatenate(rows, 0), OutputTransform("a", store.snapshot, Logo(logo))(pixels))
    assert all(red(part).any() for part in parts)


def test_a_file_gets_its_part_turned(tmp_path: Path) -> None:
    outputs, file = [], tmp_path / "left.mp4"  # type: ignore[var-annotated]
    extra = ExtraOutputs(OutputSettings(to=[f"{file} crop=0,0,0.5,1 rotate=90"]), ParameterStore().snapshot)
    extra.update(1.0, (160, 90), outputs)
    feed(outputs[0], 0.5)
    extra.close(outputs)
    assert frames_of(file)[5][1].shape == (80, 90, 3)
