"""Crossfade from the last frame of a show that died to the first frames of the show that replaces it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tpos_live.core.envelope import ease
from tpos_live.core.frame import Frame

FADE = 1.0
"""Duration in seconds."""
LONGEST_STEP = 0.1
"""Most seconds that one shown frame advances the fade: a window stalls at the start, and the fade would be a cut."""


class FadeIn:
    """One crossfade. Thread contract: one thread; time is passed in."""

    def __init__(self, kept: Frame) -> None:
        """kept: the last frame of the previous show."""
        self._kept = kept
        self._done = 0.0
        self._at = 0.0

    @property
    def over(self) -> bool:
        """Whether the fade has ended."""
        return self._done >= FADE

    def step(self, now: float, newest: Frame) -> tuple[Frame, float]:
        """The frame that fades out, in the shape of `newest`, and the weight of `newest`, 0 to 1, at `now` (seconds).
        Call it once for each shown frame, and `pause` while the image is frozen."""
        if self._at:
            self._done += min(max(now - self._at, 0.0), LONGEST_STEP)
        self._at = now
        if self._kept.pixels.shape != newest.pixels.shape:
            self._kept = replace(self._kept, pixels=_reshaped(self._kept.pixels, newest.pixels))
        return self._kept, ease(self._done / FADE)

    def pause(self) -> None:
        """The image is frozen: this time does not count."""
        self._at = 0.0


def _reshaped(pixels: np.ndarray, like: np.ndarray) -> np.ndarray:
    """`pixels`, uint8 [H, W, 3], cropped about the centre and scaled to the shape of `like`: two frames are blended in
    one shape only, and the size of the engine may have changed."""
    from PIL import Image, ImageOps

    height, width = like.shape[:2]
    return np.array(ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.BILINEAR))
