"""Interpolates latents between keyframes, at any moment. The clock is passed in: seconds of sound."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from tpos_live.core.envelope import share
from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.keyframes.keyframe import Keyframe
from tpos_live.diffusion.keyframes.morph import Morph
from tpos_live.diffusion.sampling.noise_field import Shift

FIRST_INTERVAL = 1.0
"""Assumed interval in seconds between keyframes, until two have come."""
LONGER = 1.2
"""Duration of the path to a keyframe, relative to the mean interval, so that the next keyframe comes before its end."""
STEADY = 0.3
"""Constant share of the speed; the rest follows the modulation's speed."""
FASTEST = 4.0
"""Upper limit of the modulation's speed, relative to its mean."""
MEAN_OF = 1.5
"""Time constant in seconds of that mean."""
SLOWING = 0.9
"""Share of the path from which the motion slows down, so that it does not stop visibly if the next keyframe is late."""
MARGIN = 4
"""Before a shift, a latent is padded by reflection, by its shorter side divided by this."""
_LEAST_SPEED = 1e-3


@dataclass(frozen=True)
class Inbetween:
    """One latent to decode, float32 [1, C, h, w], and the keyframe at the end of its path. params: the frame's record,
    with the latent's own pan; the display adds the rest of the pan. scene: counts cuts."""

    latent: torch.Tensor
    keyframe: Keyframe
    params: FrameParams
    scene: int = 0


class Inbetweens:
    """Interpolates from keyframe to keyframe. Belongs to one thread.

    The path to a new keyframe begins at the current latent, so nothing jumps, whenever the keyframe comes. The speed
    follows the modulation's speed along the noise trajectory: a kick that pushes the noise pushes the image. Both ends
    are shifted to the current pan, so that a pan is motion and no dissolve. A cut (see `FrameParams.cut_index`) shows
    the newest keyframe at once, and the first keyframe of the new scene when it comes. The same keyframes and records
    give the same latents.
    """

    def __init__(self) -> None:
        self._keyframe: Keyframe | None = None
        self._start: torch.Tensor | None = None
        self._start_pan = 0.0, 0.0
        self._morph: Morph | None = None
        self._shift: Shift | None = None
        self._sides = 0, 0
        self.share = 1.0
        """Position on the path to the newest keyframe, 0 to 1."""
        self.interval = 0.0
        """Interval between keyframes in seconds, smoothed; 0 until two have come."""
        self._taken_at = 0.0
        self._last: FrameParams | None = None
        self._mean_speed = 0.0
        self._cut_index = self._scene = 0

    @property
    def keyframe(self) -> Keyframe | None:
        """The newest keyframe."""
        return self._keyframe

    def take(self, keyframe: Keyframe, params: FrameParams) -> None:
        """Take a new keyframe at the time of `params`."""
        before, now = self._keyframe, params.time
        if before is not None and now > self._taken_at:
            step = now - self._taken_at
            self.interval += (step - self.interval) * (0.3 if self.interval else 1.0)
        self._taken_at = now
        other = (
            before is None
            or before.latent.shape != keyframe.latent.shape
            or before.params.cut_index != keyframe.params.cut_index
        )
        if other or self._last is None:
            self._show(keyframe)
            return
        shown = self.at(self._last)
        self._start, self._start_pan = shown.latent, (shown.params.pan_x, shown.params.pan_y)
        self._keyframe, self.share, self._morph = keyframe, 0.0, None

    def at(self, params: FrameParams) -> Inbetween:
        """The in-between for `params`, whose time must not decrease from call to call. Call `take` before."""
        keyframe = self._keyframe
        assert keyframe is not None
        if params.cut_index != self._cut_index:
            self._cut_index = params.cut_index
            self._show(keyframe)
        self._advance(params)
        own = keyframe.params
        if self.share >= 1.0 or self._start is None:
            moved = replace(params, pan_x=own.pan_x, pan_y=own.pan_y)
            return Inbetween(keyframe.latent, keyframe, moved, self._scene)
        start_x, start_y = self._start_pan
        pan = start_x + self.share * (own.pan_x - start_x), start_y + self.share * (own.pan_y - start_y)
        if self._morph is None or (start_x, start_y) != (own.pan_x, own.pan_y):
            start = self._moved(self._start, pan[0] - start_x, pan[1] - start_y)
            end = self._moved(keyframe.latent, pan[0] - own.pan_x, pan[1] - own.pan_y)
            self._morph = Morph(start, end)
        moved = replace(params, pan_x=pan[0], pan_y=pan[1])
        return Inbetween(self._morph.at(self.share), keyframe, moved, self._scene)

    def _show(self, keyframe: Keyframe) -> None:
        self._keyframe, self._start, self._morph, self.share = keyframe, None, None, 1.0
        self._scene += 1

    def _advance(self, params: FrameParams) -> None:
        """Advance `share` to the time of `params`."""
        last, self._last = self._last, params
        passed = 0.0 if last is None else params.time - last.time
        if last is None or passed <= 0:
            return
        speed = abs(params.noise_position - last.noise_position) / passed
        first = self._mean_speed == 0.0
        self._mean_speed += (speed - self._mean_speed) * (1.0 if first else share(MEAN_OF, passed))
        follows = min(speed / self._mean_speed, FASTEST) if self._mean_speed > _LEAST_SPEED else 1.0
        rate = (STEADY + (1 - STEADY) * follows) / (LONGER * (self.interval or FIRST_INTERVAL))
        left = 1.0 - self.share
        if self.share > SLOWING:  # the speed falls with the square of the rest, so the end is never reached
            self.share = 1.0 - left / (1.0 + rate * passed * left / (1 - SLOWING) ** 2)
        else:
            self.share += rate * passed

    def _moved(self, latent: torch.Tensor, right: float, up: float) -> torch.Tensor:
        """A latent shifted to the right and upwards, in widths and heights, with reflection at the edges."""
        if not right and not up:
            return latent
        height, width = latent.shape[2:]
        margin = max(min(height, width) // MARGIN, 1)
        wide = F.pad(latent, (margin,) * 4, mode="reflect")
        sides = wide.shape[2], wide.shape[3]
        if self._shift is None or self._sides != sides:
            self._shift, self._sides = Shift(*sides), sides
        spectrum = torch.fft.rfft2(wide[0], norm="ortho")
        self._shift.turn(spectrum, right * width, -up * height)
        moved = torch.fft.irfft2(spectrum, s=sides, norm="ortho")[None]
        return moved[..., margin:-margin, margin:-margin]
