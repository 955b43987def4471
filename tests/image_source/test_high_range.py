"""Clips as phones and cameras make them: of a high dynamic range, and filmed upright."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from fakes.clips import number_of, numbered, write_clip

from tpos_live.image_source.clip import Clip
from tpos_live.image_source.fitting import Fitting, fitted
from tpos_live.image_source.high_range import PQ, to_srgb


def pq(candelas: float) -> int:
    """The PQ code value, 0 to 255, of a luminance (SMPTE ST 2084)."""
    light = (candelas / 10_000) ** 0.1593017578125
    return round(255 * ((0.8359375 + 18.8515625 * light) / (1 + 18.6875 * light)) ** 78.84375)


def grey(candelas: float) -> int:
    return int(to_srgb(np.full((1, 1, 3), pq(candelas), np.uint8))[0, 0].mean())


def test_light_has_the_values_of_a_screen() -> None:
    values = [grey(candelas) for candelas in (0.0, 1.0, 20.0, 100.0, 203.0, 500.0, 1000.0, 10_000.0)]
    assert values == sorted(values) and values[0] == 0 and values[-2] >= 254 and values[-1] == 255
    assert 180 <= values[4] <= 200 and 60 <= values[2] <= 100, "diffuse white, and a shadow"
    red = to_srgb(np.array([[[pq(150.0), pq(20.0), pq(20.0)]]], np.uint8))[0, 0].astype(int)
    assert red[0] - red[1] > pq(150.0) - pq(20.0), "the wider colours keep their saturation"


def test_a_clip_of_a_high_range_is_not_grey(tmp_path: Path) -> None:
    if "libx265" not in av.codecs_available:
        pytest.skip("this PyAV has no libx265")
    path = tmp_path / "hdr.mp4"
    pixels = np.full((64, 128, 3), pq(1.0), np.uint8)
    pixels[:, 64:] = pq(900.0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=error"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = PQ, 9, 9
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p10le", dst_colorspace=9)
            frame.pts, frame.color_trc = n, PQ
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = Clip(path)
    frame = clip.at(0.0)
    assert frame is not None
    shown = fitted(frame, Fitting((128, 64))).pixels
    clip.close()
    assert shown[:, :56].max() < 40 and shown[:, 72:].min() > 240
    assert pq(1.0) + 25 < pq(900.0) - 25 < 200, "as they are, both are grey"


@pytest.mark.parametrize(("matrix", "turned"), [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)])
def test_a_clip_that_was_filmed_upright_stands_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], turned: int
) -> None:
    path = write_clip(tmp_path / "phone.mp4", 3)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0
    a, b, c, d = (number << 16 for number in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    clip = Clip(path)
    frame = clip.at(0.05)
    assert frame is not None
    size = (128, 64) if turned == 2 else (64, 128)
    upright = fitted(frame, Fitting(size)).pixels
    # The corner that is chosen is one of what is seen.
    corner = fitted(frame, Fitting(size, zoom=2.0, place=(-1.0, -1.0))).pixels[8, 8].astype(int)
    clip.close()
    assert number_of(np.rot90(upright, -turned)) == 1 != number_of(np.rot90(numbered(1), 2))
    assert np.abs(corner - upright[4, 4]).max() < 40
