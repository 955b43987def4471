"""Where in the frame the sound's scene lies beside the prompt, for an engine that draws both in one pass.

Ember has learned to part two scenes where a wide low-pass of one channel of its noise is above a threshold, so the
second scene comes as patches anywhere, also over the prompt's subject. A slope in that channel leads the patches to an
edge of the frame, and away from its middle. The low-pass has unit variance and averages some 200 cells, so a slope of
four of its standard deviations is a third of one of the noise itself: everything else that is drawn from the noise
stays as it is.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import torch

from tpos_live.core.direction import Direction
from tpos_live.core.envelope import ease
from tpos_live.diffusion.model.unet_inputs import pack
from tpos_live.scenes.noise_fields import SHARE_CELLS, SHARE_CHANNEL, smooth

STEEP = 3.5
"""Difference between the middle and an edge of the frame, in standard deviations of the low-pass."""
HOLE = (0.62, 0.75)
"""Half width and half height of what stays free in the middle, of the frame's halves."""
COMES = 0.1
"""Share of the frame with which a scene's place has its whole effect; so it is at the other end."""
TINY = 1e-5
"""Effect that nobody sees."""
ROUNDS = 6
"""Of Newton's method for the area."""


def effect(share: float) -> float:
    """How much of its effect the place of a scene has that has this share: none where there is one scene alone."""
    return ease(share / COMES) * ease((1.0 - share) / COMES)


class ScenePlace:
    """The slopes for noise of one shape."""

    def __init__(self, shape: tuple[int, int, int, int], packing: int, device: torch.device | str = "cpu") -> None:
        """shape: [1, channels, h, w] of the noise. packing: as of `NoiseField`."""
        rows, columns = (side * packing for side in shape[2:])
        y = ((torch.arange(rows) + 0.5) / rows * 2 - 1).view(-1, 1).expand(rows, columns)
        x = ((torch.arange(columns) + 0.5) / columns * 2 - 1).expand(rows, columns)
        hole = torch.exp(-((x / HOLE[0]).square() + (y / HOLE[1]).square()))
        slopes = STEEP * torch.stack([x, y, 1.6 * x.abs(), -hole])
        slopes -= slopes.mean((1, 2), keepdim=True)
        # All of them, and a plane that moves the threshold; what the low-pass makes of them is of their size.
        planes = torch.cat([slopes, torch.ones(1, rows, columns)]).unsqueeze(1)
        raw = planes / smooth(torch.ones(1, 1, rows, columns), SHARE_CELLS)
        self._seen = smooth(raw, SHARE_CELLS).squeeze(1)
        self._packed = pack(raw, packing).to(device)
        first = SHARE_CHANNEL * packing**2
        self._channels = slice(first, first + packing**2)

    def apply(self, noise: torch.Tensor, direction: Direction, share: float) -> None:
        """Lead the second scene to its place, in place. noise: float [1, channels, h, w]. share: of the frame, 0 to 1;
        the scene has it there as it has it without a place."""
        sides = direction.across, direction.down, direction.aside
        free = min(max(map(abs, sides)), 1.0)
        part = effect(share)
        if free * part < TINY:
            return
        parts = [part * of for of in (*sides, free)]
        slope = torch.tensordot(self._seen.new_tensor(parts), self._seen[:-1], 1)
        for packed, alpha in zip(self._packed, (*parts, self._plane(slope, share)), strict=True):
            noise[0, self._channels].add_(packed, alpha=alpha)

    def _plane(self, slope: torch.Tensor, share: float) -> float:
        """What must be added to a slope [rows, columns] so that it changes no area: with a standard normal field on top
        this share of the frame is above the threshold that has the share without a slope."""
        threshold, added = NormalDist().inv_cdf(1.0 - share), 0.0
        for _ in range(ROUNDS):  # Newton's
            above = slope + added * self._seen[-1] - threshold
            wrong = float(torch.special.ndtr(above).mean()) - share
            rise = float((above.square() / -2).exp().mean()) / math.sqrt(2 * math.pi)
            added -= min(max(wrong / max(rise, 1e-3), -1.0), 1.0)
        return added
