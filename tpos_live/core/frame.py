"""An engine frame, as it goes through the mailbox to the display, and the image of a source that it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.image_colour import turn_of

_SAMPLES = 48
"""Samples along the shorter side of a frame."""


@dataclass(frozen=True)
class Frame:
    """pixels: uint8 [H, W, 3], sRGB, row 0 on top, contiguous; not modified by the renderer while it is among the three
    newest. index: count of frames; -1: from the previous show. time: seconds of audio processed when it was begun.
    heard_at, drawn_at: perf_counter of the newest audio sample it contains and of its completion. pan_x, pan_y: drift
    of its noise field (see FrameParams), for interpolation. cut_index: its FrameParams.cut_index; frames with different
    values are never blended by motion. detail: how much fine structure the display adds where it enlarges the frame,
    for an engine with soft images. vivid: how far it deepens the colours of a bright or a grey frame, 0 to 1, for an
    engine whose images are pale there."""

    pixels: np.ndarray
    index: int
    time: float
    heard_at: float
    drawn_at: float
    pan_x: float = 0.0
    pan_y: float = 0.0
    cut_index: int = 0
    detail: float = 0.0
    vivid: float = 0.0

    @property
    def of_before(self) -> bool:
        """Whether it is the last frame of the previous show, which crashed."""
        return self.index < 0

    @cached_property
    def _measured(self) -> tuple[float, float]:
        return light_and_saturation(self.pixels)

    @property
    def light(self) -> float:
        """Mean light of the pixels, from `light_and_saturation`."""
        return self._measured[0]

    @property
    def saturation(self) -> float:
        """Mean saturation of the pixels, from `light_and_saturation`."""
        return self._measured[1]

    @cached_property
    def turn(self) -> float:
        """`turn_of` of the pixels."""
        return turn_of(self.pixels)

    @classmethod
    def of(
        cls, pixels: np.ndarray, index: int, params: FrameParams, drawn_at: float, detail: float, vivid: float
    ) -> Self:
        """The frame that the engine generated for `params`."""
        moment = params.time, params.heard_at, drawn_at
        return cls(pixels, index, *moment, params.pan_x, params.pan_y, params.cut_index, detail, vivid)


def light_and_saturation(pixels: np.ndarray) -> tuple[float, float]:
    """Means over the image, 0 to 1, in linear light: of each pixel's highest channel, which clips first
    (`display/tone_mapping.py`), and of the saturation (HSV), weighted by that channel; 1 for a black image.

    pixels: uint8 [h, w, 3]. Measured on about 48 pixels in each direction.
    """
    stride = max(1, min(pixels.shape[:2]) // _SAMPLES)
    red, green, blue = np.moveaxis(pixels[::stride, ::stride], 2, 0)
    highest = np.square(np.maximum(np.maximum(red, green), blue), dtype=np.uint32)
    lowest = np.square(np.minimum(np.minimum(red, green), blue), dtype=np.uint32)
    return float(highest.mean()) / 255**2, 1.0 - float(lowest.sum()) / max(float(highest.sum()), 1.0)


@dataclass(frozen=True)
class SourceImage:
    """pixels: uint8 [height, width, 3] sRGB, at the engine's size, not modified afterwards. mask: uint8 [height,
    width], weight of the source, 255 = full; None = full everywhere. Another image is another object."""

    pixels: np.ndarray
    mask: np.ndarray | None = None
