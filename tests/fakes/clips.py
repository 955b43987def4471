"""Clips whose pictures carry their number, made by PyAV."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BARS = 8
"""Vertical bars of a picture: one bit of its number each, the highest first."""


def numbered(number: int, width: int = 128, height: int = 64) -> np.ndarray:
    """uint8 [height, width, 3]."""
    bits = [(number >> (BARS - 1 - n)) & 1 for n in range(BARS)]
    return (
        np.repeat(np.repeat([[40 + 170 * bit for bit in bits]], height, 0), width // BARS, 1)[..., None]
        .repeat(3, 2)
        .astype(np.uint8)
    )


def number_of(pixels: np.ndarray) -> int:
    """The number that a picture carries, at any size."""
    height, width = pixels.shape[:2]
    at = [round((n + 0.5) * width / BARS) for n in range(BARS)]
    return int("".join(str(int(pixels[height // 2, x].mean() > 125)) for x in at), 2)


def write_clip(
    path: Path, count: int, fps: int = 25, size: tuple[int, int] = (128, 64), codec: str = "libx264",
    pix_fmt: str = "yuv420p", times: list[float] | None = None, keyframes: int = 12,
    draw: Callable[[int, int, int], np.ndarray] = numbered,
) -> Path:  # fmt: skip
    """times: of the pictures in seconds, for a variable rate. draw: the picture of a number, width and height."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.gop_size = keyframes
        stream.codec_context.time_base = Fraction(1, 1000)
        for n in range(count):
            frame = av.VideoFrame.from_ndarray(draw(n, *size), format="rgb24").reformat(format=pix_fmt)
            frame.pts = round(1000 * (times[n] if times is not None else n / fps))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
