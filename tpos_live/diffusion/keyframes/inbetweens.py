"""Interpolates latents between keyframes at any moment, and decodes them. The clock is passed in: seconds of sound."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from tpos_live.core.envelope import share
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.spherical import TINY, arc_weights
from tpos_live.diffusion.cuda.frame_pool import FramePool
from tpos_live.diffusion.keyframes.keyframe import Keyframe
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
SPREAD = 1.6
"""For uncorrelated latents: delay of the last position's start, in durations of one position's change."""
ALIKE = 0.4
"""Likeness from which all positions change together."""
SOFT = 6
"""Edges between changed and unchanged positions are as wide as the latent's height divided by this; sharp edges would
show the positions as squares."""


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


class Morph:
    """The path from `start` to `end`, float32 [1, C, h, w] each, which are copied. Belongs to one thread.

    Each position changes by spherical interpolation (Shoemake 1985), which keeps the latent's variance, and so the
    contrast of the decoded image; a linear mean would lose up to 30 %. Two similar latents change at all positions
    together, which looks like motion. For different scenes that would be a double exposure: there the positions change
    one after the other, first those where the second latent has more energy, so that most of the image always shows
    only one of the two scenes.
    """

    def __init__(self, start: torch.Tensor, end: torch.Tensor) -> None:
        self._start_mean, self._end_mean = start.mean((2, 3), keepdim=True), end.mean((2, 3), keepdim=True)
        a, b = start - self._start_mean, end - self._end_mean
        self._lengths = float(a.norm()), float(b.norm())
        self._a, self._b = a / max(self._lengths[0], TINY), b / max(self._lengths[1], TINY)
        cosine = (self._a * self._b).sum().clamp(-1.0, 1.0)
        self._angle = torch.acos(cosine)
        self.likeness = float(cosine)
        """Cosine of the angle between the two latents without their channel means, -1 to 1."""
        self._spread = SPREAD * min(max(1.0 - self.likeness / ALIKE, 0.0), 1.0)
        self._order = order(a, b)

    def at(self, share: float) -> torch.Tensor:
        """The latent at position `share` of the path, 0 (start) to 1 (end); a new tensor."""
        share = min(max(share, 0.0), 1.0)
        local = soften((share * (1 + self._spread) - self._spread * self._order).clamp_(0.0, 1.0))
        keep, take = arc_weights(self._angle, local)
        length = torch.lerp(torch.full_like(local, self._lengths[0]), torch.full_like(local, self._lengths[1]), local)
        mean = torch.lerp(self._start_mean, self._end_mean, local)
        return (keep * self._a + take * self._b) * length + mean


def order(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """When each position begins to change, [1, 1, h, w] from 0 (first) to 1 (last), uniformly distributed.

    a, b: float32 [1, C, h, w] without their channel means. The first positions are those where b has the most energy
    relative to a, after smoothing.
    """
    energy = soften((b * b).mean(1, keepdim=True) - (a * a).mean(1, keepdim=True))
    ranks = energy.flatten().argsort(descending=True).argsort().float()
    return (ranks / max(ranks.numel() - 1, 1)).reshape_as(energy)


def soften(places: torch.Tensor) -> torch.Tensor:
    """A map [1, 1, h, w], smoothed by a triangular filter in both directions; a constant stays the same."""
    radius = max(round(places.shape[2] / SOFT / 2), 1)
    for _ in range(2):
        padded = F.pad(places, (radius,) * 4, mode="replicate")
        places = F.avg_pool2d(padded, 2 * radius + 1, 1)
    return places


class InbetweenDecoder:
    """Decodes latents with the keyframe's backend. Belongs to one thread; no other thread may use that decoder
    meanwhile.

    A frame's pixels stay valid for at least three more frames.
    """

    def __init__(self) -> None:
        self._pool: FramePool | None = None
        self._size = 0, 0
        self._index = 0
        self.took = 0.0
        """Seconds to decode the newest frame."""

    @torch.inference_mode()
    def decode(self, inbetween: Inbetween) -> Frame:
        """The frame of one latent."""
        began, keyframe, params = time.perf_counter(), inbetween.keyframe, inbetween.params
        if self._pool is None or self._size != keyframe.size:
            self._pool, self._size = FramePool(keyframe.size, pinned=False), keyframe.size
        pixels = self._pool.pixels(self._index)
        keyframe.backend.decode(inbetween.latent.contiguous(), pixels)
        self._index += 1
        done = time.perf_counter()
        self.took = done - began
        return Frame.of(pixels, self._index - 1, params, done, keyframe.detail, keyframe.vivid)
