"""Conversion for H.264 with reused tables and memory gives the same as with new ones."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video import reformatter

from tpos_live.display.video import VideoWriter
from tpos_live.display.yuv_converter import ALL_CHROMA, AREA, YuvConverter


def noise(size: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(160, 90), (854, 480), (2, 2), (62, 34)])
def test_each_frame_is_that_of_a_conversion_of_its_own(size: tuple[int, int]) -> None:
    convert = YuvConverter(size)
    frames = [noise(size, seed) for seed in range(4)]
    made = [convert(frame) for frame in frames]  # all of them wait, as in an encoder
    for frame, found in zip(frames, made, strict=True):
        fresh = av.VideoFrame.from_ndarray(frame, format="rgb24")
        expected = fresh.reformat(
            format="yuv420p", src_colorspace="ITU709", dst_colorspace="ITU709", interpolation=AREA | ALL_CHROMA
        )
        assert np.array_equal(found.to_ndarray(), expected.to_ndarray())


@pytest.mark.parametrize("size", [(160, 90), (62, 34), (4, 4)])
def test_each_value_of_colour_is_the_mean_of_its_four_pixels(size: tuple[int, int]) -> None:
    pixels = noise(size, 5)
    red, _, blue = np.moveaxis(pixels.astype(float), 2, 0)
    light = pixels @ [0.2126, 0.7152, 0.0722]
    planes = [plane(YuvConverter(size)(pixels).planes[n]) for n in range(3)]
    for got, expected in zip(
        planes,
        [
            16 + 219 / 255 * light,
            128 + 224 / 255 * mean_of_four(blue - light) / 1.8556,
            128 + 224 / 255 * mean_of_four(red - light) / 1.5748,
        ],
        strict=True,
    ):
        assert np.abs(got - expected).max() < 1.0


def plane(found: av.video.plane.VideoPlane) -> np.ndarray:
    rows = np.frombuffer(found, np.uint8).reshape(-1, found.line_size)
    return rows[: found.height, : found.width].astype(float)


def mean_of_four(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    return values.reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def test_a_part_of_a_larger_image_is_taken_as_it_is() -> None:
    whole = noise((162, 92), 1)
    part = whole[:90, :160]
    convert = YuvConverter((160, 90))
    assert np.array_equal(convert(part).to_ndarray(), convert(np.ascontiguousarray(part)).to_ndarray())


def test_a_recording_makes_one_scaler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = reformatter.VideoReformatter
    monkeypatch.setattr(reformatter, "VideoReformatter", lambda: made.append(real()) or made[-1])
    with VideoWriter(tmp_path / "a.mp4", (161, 91), 30, sound=False, live=True) as writer:
        for seed in range(5):
            writer.write_frame(noise((161, 91), seed))
    assert len(made) == 1
