"""The frame interpolator: makes the frame to show now from the newest engine frames. It also implements freeze."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from tpos_live.core.envelope import ease
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.guard import Guard
from tpos_live.core.parameter_store import Snapshot
from tpos_live.display.flash_limiter import FlashLimiter
from tpos_live.display.kick_response import KickResponse
from tpos_live.display.postfx import GRAIN_RATE, PostFxParams, postfx_params
from tpos_live.display.tone_mapping import noise_tile, shown_part

log = logging.getLogger(__name__)

LONGEST_INTERVAL = 1.0
"""A longer interval between engine frames (seconds) is a stall and does not count."""
BREATH = 7.0
"""Period of the start screen's brightness, seconds."""
FADE = 1.0
"""Duration of a crossfade from the previous show, in seconds."""
LONGEST_STEP = 0.1
"""Most seconds that one shown frame advances the fade: a window stalls at the start, and the fade would be a cut."""


@dataclass(frozen=True)
class DisplayFrame:
    """Everything a compositor needs for one frame. previous is used while postfx.mix is below 1."""

    postfx: PostFxParams
    newest: Frame
    previous: Frame | None = None
    started: bool = True


class FrameInterpolator:
    """Blends the two newest engine frames. Thread contract: one thread; time and inputs are passed in."""

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self.size = size
        """(width, height) of the output; None where it is not known. Kicks and flashes are measured on the part of a
        frame that it shows."""
        self.newest: Frame | None = None
        self.previous: Frame | None = None
        self.interval = 0.0
        """Seconds between engine frames, smoothed; 0 until two have come."""
        self._held: DisplayFrame | None = None
        self._fade: FadeIn | None = None
        self._limiter = FlashLimiter()
        self._kicks, self._kick_guard = KickResponse(), Guard(log, "the show")

    @property
    def limited(self) -> bool:
        """Whether the flash limiter dims the newest frame."""
        return self._limiter.gain < 1.0

    def take(self, frame: Frame | None) -> None:
        """Take a new engine frame, or None."""
        if frame is None or frame is self.newest:
            return
        if self.newest is not None:
            step = frame.drawn_at - self.newest.drawn_at
            if 0 < step < LONGEST_INTERVAL:
                self.interval += (step - self.interval) * (0.2 if self.interval else 1.0)
        if self.newest is not None and self.newest.of_before and not frame.of_before:
            self._fade = FadeIn(self.newest)
        elif self._fade is not None and self._fade.over:
            # Only when an engine frame comes: interpolation then begins without a jump back to the older one.
            self._fade = None
        self.previous, self.newest = self.newest, frame

    def display_frame(self, now: float, params: FrameParams, snapshot: Snapshot) -> DisplayFrame:
        """What to show at `now`. Freeze holds the frame; level, blackout and the flash limiter still act."""
        shown = self._unlimited(now, params, snapshot)
        part = shown_part(shown.postfx.fit, shown.newest.pixels.shape[1::-1], self.size)
        on = bool(snapshot["out.flash_limit"])
        gain = self._limiter.step(now, shown.postfx, shown.newest, shown.previous, on, part)
        return shown if gain == 1.0 else replace(shown, postfx=replace(shown.postfx, level=gain * shown.postfx.level))

    def _unlimited(self, now: float, params: FrameParams, snapshot: Snapshot) -> DisplayFrame:
        """What to show at `now`, before the flash limiter."""
        if snapshot["out.freeze"] and self._held is not None:
            if self._fade is not None:
                self._fade.pause()
            postfx = replace(self._held.postfx, level=snapshot["out.level"], blackout=snapshot["out.blackout"])
            return replace(self._held, postfx=postfx)
        if self.newest is None:
            display_frame = DisplayFrame(_start_postfx(now, snapshot), start_frame(), started=False)
        else:
            previous = self.previous if self._fade is None else None
            postfx = postfx_params(params, snapshot, previous, self.newest, now, self.interval)
            if self._fade is not None:
                previous, weight = self._fade.step(now, self.newest)
                postfx = _faded(postfx, postfx_params(params, snapshot, None, previous, now, 0.0), weight)
            light = partial(self._limiter.light, postfx, self.newest, previous)
            part = shown_part(postfx.fit, self.newest.pixels.shape[1::-1], self.size)
            with self._kick_guard:  # if the effect fails, the frame is shown without it
                postfx = self._kicks.step(now, params, postfx, light, part)
            display_frame = DisplayFrame(postfx, self.newest, previous)
        self._held = display_frame
        return display_frame


def _faded(new: PostFxParams, old: PostFxParams, weight: float) -> PostFxParams:
    """A blend in which the newest frame has this weight, with the parameters of both frames. Unlike interpolation it
    also blends frames that are not similar."""
    return replace(
        new,
        mix=weight,
        contrast=1.0,
        pan_old=old.pan_new,
        detail=weight * new.detail + (1.0 - weight) * old.detail,
    )


@cache
def start_frame() -> Frame:
    """The frame before the engine's first one: dark, with a dim light at the bottom."""
    y, x = np.mgrid[0:144, 0:256] / np.array([144.0, 256.0]).reshape(2, 1, 1)
    far = np.exp(-(((x - 0.36) / 0.5) ** 2 + ((y - 1.02) / 0.55) ** 2))
    near = np.exp(-(((x - 0.72) / 0.3) ** 2 + ((y - 0.95) / 0.4) ** 2))
    light = far[..., None] * (0.07, 0.13, 0.27) + near[..., None] * (0.12, 0.05, 0.16) + 0.018
    # Dithered: eight bits are too few for such a dark gradient.
    dither = noise_tile()[:144, :256, :3] / 256
    return Frame(np.floor(light * 255 + dither).astype(np.uint8), -1, 0.0, 0.0, 0.0)


def _start_postfx(now: float, snapshot: Snapshot) -> PostFxParams:
    return PostFxParams(
        exposure=0.35 * math.sin(2 * math.pi * now / BREATH),
        level=snapshot["out.level"],
        blackout=snapshot["out.blackout"],
        grain=snapshot["finish.grain"],
        seed=int(now * GRAIN_RATE) & 0x7FFFFFFF,
    )


class FadeIn:
    """Crossfade from the last frame of a show that died to the first frames of the show that replaces it.

    Thread contract: one thread; time is passed in.
    """

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
