"""Interpolates from one latent to another, with a start time for each position.

Each position changes by spherical interpolation (Shoemake 1985), which keeps the latent's variance, and so the contrast
of the decoded image; a linear mean would lose up to 30 %. Two similar latents change at all positions together, which
looks like motion. For different scenes that would be a double exposure: there the positions change one after the other,
first those where the second latent has more energy, so that most of the image always shows only one of the two scenes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tpos_live.core.spherical import TINY, arc_weights

SPREAD = 1.6
"""For uncorrelated latents: delay of the last position's start, in durations of one position's change."""
ALIKE = 0.4
"""Likeness from which all positions change together."""
SOFT = 6
"""Edges between changed and unchanged positions are as wide as the latent's height divided by this; sharp edges would
show the positions as squares."""


class Morph:
    """The path from `start` to `end`, float32 [1, C, h, w] each, which are copied. Belongs to one thread."""

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
