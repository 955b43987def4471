"""From a decoded picture to a `SourceImage`: scaled, cropped, mirrored, blurred, with its mask."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tpos_live.core.frame import SourceImage
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.srgb import luminance_key
from tpos_live.image_source.high_range import is_high_range, to_srgb

BLURRED = 40.0
"""Factor by which the strongest blur shrinks the picture before it is enlarged again."""
DARK, BRIGHT = 0.08, 0.25
"""Luminance key: luminance from which the source begins to show, and from which it shows fully."""


EDGES_BLUR = 0.75
"""Least blur, 0 to 1, of the picture that fills the edges with fit "contain"."""


@dataclass(frozen=True, eq=False)
class GivenMask:
    """A mask from a file: uint8 [height, width], as `SourceImage.mask`. Compared by identity."""

    values: np.ndarray


@dataclass(frozen=True)
class Fitting:
    """How pictures of a source are fitted into the frame; see the parameters source.*."""

    size: tuple[int, int]
    fit: str = "cover"
    mirror: str = "off"
    blur: float = 0.0
    mask: str = "off"
    edges: str = "black"
    given: GivenMask | None = None
    """The mask where `mask` is "file"."""
    zoom: float = 1.0
    place: tuple[float, float] = (0.0, 0.0)
    """Position of the crop (x, y), from -1 (left or top) to 1 (right or bottom)."""

    @classmethod
    def of(cls, snapshot: Snapshot, size: tuple[int, int], given: GivenMask | None = None) -> Fitting:
        """size: (width, height) of the frame."""
        text = {name: str(snapshot[f"source.{name}"]) for name in ("fit", "mirror", "mask", "edges")}
        numbers = {name: float(snapshot[f"source.{name}"]) for name in ("blur", "zoom", "x", "y")}
        blur, zoom, *place = numbers.values()
        return cls(size, blur=blur, given=given, zoom=zoom, place=(place[0], place[1]), **text)


class Scalers:
    """FFmpeg's scalers for the pictures of one source, one for each step. For one thread at a time.

    A new scaler for each picture takes 1.8 ms of processor time instead of 0.6 ms (1280x720 to 320x192). PyAV's default
    of one thread per core takes 1.1 times the processor time, and waits for all cores: 3.1 ms instead of 0.6 ms beside
    other work."""

    def __init__(self) -> None:
        self._scalers: defaultdict[str, VideoReformatter] = defaultdict(VideoReformatter)

    def scale(self, step: str, frame: av.VideoFrame, size: tuple[int, int], kind: str, how: str) -> av.VideoFrame:
        """The frame at `size` = (width, height) in the pixel format `kind`. step: which scaler. how: the interpolation.
        Raises av.FFmpegError."""
        return self._scalers[step].reformat(frame, *size, format=kind, interpolation=how, threads=1)


def fitted(frame: av.VideoFrame, how: Fitting, scalers: Scalers | None = None) -> SourceImage:
    """The picture as the engine takes it. Raises av.FFmpegError for a format that cannot be converted."""
    scalers = scalers or Scalers()
    turns, high_range = round(getattr(frame, "rotation", 0) / 90) % 4, is_high_range(frame)
    width, height = how.size if turns % 2 == 0 else how.size[::-1]
    alpha = how.mask == "alpha" and any(part.is_alpha for part in frame.format.components)
    inner, crop = _inner(frame, (width, height), how, turns)
    kind = "rgba" if alpha else "rgb24"
    if how.blur > 0:
        factor = BLURRED**how.blur
        small = max(round(inner[0] / factor), 1), max(round(inner[1] / factor), 1)
        frame = scalers.scale("blur", frame, small, kind, "AREA")
    image = scalers.scale("size", frame, inner, kind, "BICUBIC" if how.blur > 0 else "AREA").to_ndarray()
    placed = np.zeros((height, width, image.shape[2]), np.uint8)
    if how.fit == "contain" and how.edges == "blurred" and inner != (width, height):
        placed[..., :3] = _behind(frame, (width, height), how.blur)
    (left, top), (x, y) = crop
    part = image[top : top + height, left : left + width]
    placed[y : y + part.shape[0], x : x + part.shape[1]] = part
    placed = np.rot90(placed, turns)
    if how.mirror in ("horizontal", "both"):
        placed = placed[:, ::-1]
    if how.mirror in ("vertical", "both"):
        placed = placed[::-1]
    pixels = np.ascontiguousarray(placed[..., :3])
    if high_range:
        pixels = to_srgb(pixels)
    mask = np.ascontiguousarray(placed[..., 3]) if alpha else None
    if how.mask == "luma":
        mask = luminance_key(pixels, DARK, BRIGHT)
    elif how.mask == "file" and how.given is not None:
        mask = how.given.values
    return SourceImage(pixels, mask)


def _inner(
    frame: av.VideoFrame, size: tuple[int, int], how: Fitting, turns: int
) -> tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]]]:
    """The size (width, height) that a picture is scaled to, the crop's offset in it (left, top), and its offset in the
    frame (x, y). turns: rotations by 90 degrees counterclockwise that follow."""
    width, height = size
    sides = width / frame.width, height / frame.height
    if how.fit != "stretch":
        sides = (max(sides) if how.fit == "cover" else min(sides),) * 2
    inner = max(round(frame.width * sides[0] * how.zoom), 1), max(round(frame.height * sides[1] * how.zoom), 1)
    # With "cover", a very wide or very high picture would be scaled to millions of pixels, so the size is limited.
    inner = min(inner[0], 8 * width), min(inner[1], 8 * height)
    over = inner[0] - width, inner[1] - height
    x, y = how.place
    x, y = ((x, y), (-y, x), (-x, -y), (y, -x))[turns]
    left, top = (int(max(more, 0) * (1 + place) / 2) for more, place in zip(over, (x, y), strict=True))
    return inner, ((left, top), (max(-over[0], 0) // 2, max(-over[1], 0) // 2))


def _behind(frame: av.VideoFrame, size: tuple[int, int], blur: float) -> np.ndarray:
    """The same picture, blurred, over the whole frame; uint8 [height, width, 3]. Not rotated yet, like `size`."""
    flat = frame.reformat(frame.width, frame.height, format="rgb24", threads=1)  # drops the rotation flag
    return fitted(flat, Fitting(size, blur=max(blur, EDGES_BLUR))).pixels
