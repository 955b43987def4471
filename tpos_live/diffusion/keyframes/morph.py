"""The way from one latent to another, place by place.

Every place of the latent goes from the first to the second by spherical interpolation (Shoemake 1985), which keeps the
latent's variance, and so the contrast of the decoded image; a mean would lose up to 30 %. Where the two latents have
much in common all places move together, which looks like motion. Where they are of different scenes that would be a
double exposure: the places change one after the other instead, first those where the second latent has most to show, so
that at each moment most of the image is one scene or the other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

SPREAD = 1.6
"""For latents without anything in common: how much longer the whole way takes than that of one place."""
ALIKE = 0.4
"""Likeness from which all places move together."""
SOFT = 6
"""Edges of what has changed are as wide as the latent's height, divided by this; sharp ones would show the places as
squares."""
_TINY = 1e-6


class Morph:
    """From `start` to `end`, float32 [1, C, h, w] each, which are read once and not kept. Belongs to one thread."""

    def __init__(self, start: torch.Tensor, end: torch.Tensor) -> None:
        self._start_mean, self._end_mean = start.mean((2, 3), keepdim=True), end.mean((2, 3), keepdim=True)
        a, b = start - self._start_mean, end - self._end_mean
        self._lengths = float(a.norm()), float(b.norm())
        self._a, self._b = a / max(self._lengths[0], _TINY), b / max(self._lengths[1], _TINY)
        cosine = (self._a * self._b).sum().clamp(-1.0, 1.0)
        self._angle = float(torch.acos(cosine))
        self.likeness = float(cosine)
        """Cosine of the angle between the two, their channel means taken off."""
        self._spread = SPREAD * min(max(1.0 - self.likeness / ALIKE, 0.0), 1.0)
        self._order = order(a, b)

    def at(self, share: float) -> torch.Tensor:
        """The latent at `share` of the way, 0 to 1; a new tensor. 0 and 1 give the two ends."""
        share = min(max(share, 0.0), 1.0)
        local = soften((share * (1 + self._spread) - self._spread * self._order).clamp_(0.0, 1.0))
        if self._angle < 1e-3 or self._angle > 3.14:  # no great circle to speak of
            keep, take = 1 - local, local
        else:
            sine = torch.sin(torch.tensor(self._angle))
            keep, take = (torch.sin(each * self._angle) / sine for each in (1 - local, local))
        length = torch.lerp(torch.full_like(local, self._lengths[0]), torch.full_like(local, self._lengths[1]), local)
        mean = torch.lerp(self._start_mean, self._end_mean, local)
        return (keep * self._a + take * self._b) * length + mean


def order(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """When each place begins, [1, 1, h, w] from 0 (first) to 1 (last), evenly spread.

    a, b: float32 [1, C, h, w] without their channel means. The first places are those around which b has most energy
    against a.
    """
    energy = soften((b * b).mean(1, keepdim=True) - (a * a).mean(1, keepdim=True))
    ranks = energy.flatten().argsort(descending=True).argsort().float()
    return (ranks / max(ranks.numel() - 1, 1)).reshape_as(energy)


def soften(places: torch.Tensor) -> torch.Tensor:
    """A map [1, 1, h, w], smoothed by a triangle in both directions; a constant stays the same."""
    radius = max(round(places.shape[2] / SOFT / 2), 1)
    for _ in range(2):
        padded = F.pad(places, (radius,) * 4, mode="replicate")
        places = F.avg_pool2d(padded, 2 * radius + 1, 1)
    return places
