"""Pictures of any shape are fitted into the frame; masks select where they act."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from fakes.clips import number_of, numbered

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.image_source.fitting import Fitting, Scalers, fitted

SIZE = (320, 192)


def frame_of(pixels: np.ndarray, kind: str = "rgb24") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=kind)


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize(
    "shape", [(320, 192), (640, 360), (90, 160), (7680, 4320), (1, 1), (3000, 2), (2, 3000), (17, 31)]
)
def test_every_shape_gives_the_frames_size(shape: tuple[int, int], fit: str) -> None:
    image = fitted(frame_of(np.full((shape[1], shape[0], 3), 200, np.uint8)), Fitting(SIZE, fit))
    assert image.pixels.shape == (192, 320, 3) and image.pixels.flags["C_CONTIGUOUS"]
    assert abs(int(image.pixels.max()) - 200) <= 1
    if fit != "contain":
        assert (np.abs(image.pixels.astype(int) - 200) <= 1).all()


def test_a_portrait_is_cut_or_shown_whole_or_stretched() -> None:
    tall = np.zeros((320, 100, 3), np.uint8)
    tall[:160] = 250
    cut, whole, stretched = (
        fitted(frame_of(tall), Fitting((200, 100), fit)).pixels for fit in ("cover", "contain", "stretch")
    )
    assert cut[10, 100, 0] > 240 and cut[90, 100, 0] < 10
    assert whole[50, 5, 0] == 0 and whole[20, 100, 0] > 240
    assert stretched[20, 5, 0] > 240 and stretched[80, 195, 0] < 10


@pytest.mark.parametrize("kind", ["rgb24", "rgba"])
def test_beside_a_whole_picture_is_black_or_the_blurred_picture(kind: str) -> None:
    tall = np.full((320, 100, len(kind) if kind == "rgba" else 3), 255, np.uint8)
    tall[..., 0] = 90
    black, blurred = (
        fitted(frame_of(tall, kind), Fitting((200, 100), "contain", edges=edges, mask="alpha"))
        for edges in ("black", "blurred")
    )
    assert (black.pixels[:, :80] == 0).all() and (np.abs(blurred.pixels[:, :80] - [90, 255, 255]) <= 2).all()
    assert np.array_equal(black.pixels[:, 90:110], blurred.pixels[:, 90:110])
    if kind == "rgba":  # the edges are no part of the source
        assert blurred.mask is not None and blurred.mask[:, :80].max() == 0


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("place", [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)])
def test_a_quarter_of_the_source_fills_the_frame(fit: str, place: tuple[float, float]) -> None:
    quarters = np.zeros((192, 320, 3), np.uint8)
    quarters[:96, 160:], quarters[96:, :160], quarters[96:, 160:] = 80, 160, 240
    shown = fitted(frame_of(quarters), Fitting(SIZE, fit, zoom=2.0, place=place)).pixels
    assert shown.shape == (192, 320, 3)
    wanted = {(-1.0, -1.0): 0, (1.0, -1.0): 80, (-1.0, 1.0): 160, (1.0, 1.0): 240}[place]
    assert np.abs(shown[4:-4, 4:-4].astype(int) - wanted).max() <= 2


def test_a_source_that_is_cut_shows_the_part_that_is_chosen() -> None:
    wide = np.zeros((100, 400, 3), np.uint8)
    wide[:, 300:] = 250
    parts = [fitted(frame_of(wide), Fitting((100, 100), place=(x, 0.0))).pixels.mean() for x in (-1.0, 0.0, 1.0)]
    assert parts[0] < 2 and parts[1] < 2 and parts[2] > 240


def test_mirrors() -> None:
    pixels = numbered(0b10000010, 320, 192)
    pixels[100:] //= 4
    plain, horizontal, vertical, both = (
        fitted(frame_of(pixels), Fitting(SIZE, mirror=mirror)).pixels
        for mirror in ("off", "horizontal", "vertical", "both")
    )
    assert np.array_equal(horizontal, plain[:, ::-1]) and np.array_equal(vertical, plain[::-1])
    assert np.array_equal(both, plain[::-1, ::-1]) and number_of(plain[:100]) == 0b10000010


def test_blur_grows_with_the_knob() -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (192, 320, 3), np.uint8)
    rough = [
        np.abs(np.diff(fitted(frame_of(pixels), Fitting(SIZE, blur=blur)).pixels.astype(int), axis=1)).mean()
        for blur in (0.0, 0.2, 0.5, 1.0)
    ]
    assert rough[0] > 2 * rough[1] > 4 * rough[2] > 4 * rough[3]


def test_the_mask_of_an_opaque_place_and_of_a_bright_one() -> None:
    pixels = np.zeros((192, 320, 4), np.uint8)
    pixels[:, :160] = (255, 255, 255, 255)
    alpha = fitted(frame_of(pixels, "rgba"), Fitting(SIZE, mask="alpha")).mask
    luma = fitted(frame_of(pixels[..., :3]), Fitting(SIZE, mask="luma")).mask
    for mask in (alpha, luma):
        assert mask is not None and mask.shape == (192, 320) and mask.dtype == np.uint8
        assert (mask[:, :150] == 255).all() and (mask[:, 170:] == 0).all()
    assert fitted(frame_of(pixels, "rgba"), Fitting(SIZE)).mask is None
    assert fitted(frame_of(pixels[..., :3]), Fitting(SIZE, mask="alpha")).mask is None  # opaque everywhere


@pytest.mark.parametrize("kind", ["yuv420p", "yuv420p10le", "yuv444p", "gray", "nv12", "bgra", "yuva420p", "pal8"])
def test_formats_of_pictures(kind: str) -> None:
    if kind == "pal8":
        frame = av.VideoFrame(64, 64, "pal8")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
    else:
        frame = frame_of(np.full((64, 64, 3), 180, np.uint8)).reformat(format=kind)
    image = fitted(frame, Fitting(SIZE))
    assert kind == "pal8" or (np.abs(image.pixels.astype(int) - 180) <= 4).all()


def test_the_parameters_of_a_snapshot() -> None:
    store = ParameterStore(
        {"source.fit": "contain", "source.mirror": "both", "source.blur": 0.25, "source.mask": "luma"}
    )
    assert Fitting.of(store.snapshot(), (64, 32)) == Fitting((64, 32), "contain", "both", 0.25, "luma")
    store.update({"source.zoom": 2.0, "source.x": -1.0, "source.y": 0.5})
    how = Fitting.of(store.snapshot(), (64, 32))
    assert (how.zoom, how.place) == (2.0, (-1.0, 0.5))


def test_pictures_that_share_their_scalers_are_the_same() -> None:
    scalers, made = Scalers(), 0
    for shape in ((320, 192), (640, 360), (90, 160)):
        for how in (
            Fitting(SIZE),
            Fitting(SIZE, blur=0.4),
            Fitting(SIZE, "contain", edges="blurred"),
            Fitting((64, 64)),
        ):
            pixels = np.random.default_rng(made).integers(0, 256, (shape[1], shape[0], 3), dtype=np.uint8)
            kind = ("rgb24", "yuv420p", "yuvj420p")[made % 3]
            frame = frame_of(pixels).reformat(format=kind)
            shared = fitted(frame, how, scalers=scalers)
            assert np.array_equal(shared.pixels, fitted(frame, how).pixels)
            made += 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted on Linux")
def test_scaling_starts_no_threads_beside_the_engine() -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    frame, scalers, before = frame_of(np.zeros((720, 1280, 3), np.uint8)), Scalers(), threads()
    fitted(frame, Fitting(SIZE, blur=0.4), scalers=scalers)
    assert threads() == before
