"""Where in the frame the sound's scene lies beside the prompt, for an engine that draws both in one pass.

Ember has learned to show the second of two scenes where a wide low-pass of one noise channel is above a threshold. So
the second scene appears in patches anywhere, also over the prompt's subject. A slope added to that channel moves the
patches to an edge of the frame, and away from its middle. The low-pass has unit variance and averages some 200 cells,
so a slope of four of its standard deviations is a third of one standard deviation of the noise: the rest of the image
hardly changes.
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
"""Half width and half height of the free area in the middle, relative to half of the frame's."""
COMES = 0.1
"""The slope has its full effect where the scene's share of the frame is from COMES to 1 - COMES."""
TINY = 1e-5
"""Effect below which nothing is visible."""
ROUNDS = 6
"""Iterations of Newton's method for the area."""


def effect(share: float) -> float:
    """Strength of the slope, 0 to 1, by the second scene's share of the frame: 0 where one scene is alone."""
    return ease(share / COMES) * ease((1.0 - share) / COMES)


class ScenePlace:
    """Adds slopes to noise of one shape, so that the second scene appears where the director wants it."""

    def __init__(self, shape: tuple[int, int, int, int], packing: int, device: torch.device | str = "cpu") -> None:
        """shape: [1, channels, h, w] of the noise. packing: as of `NoiseField`."""
        rows, columns = (side * packing for side in shape[2:])
        y = ((torch.arange(rows) + 0.5) / rows * 2 - 1).view(-1, 1).expand(rows, columns)
        x = ((torch.arange(columns) + 0.5) / columns * 2 - 1).expand(rows, columns)
        hole = torch.exp(-((x / HOLE[0]).square() + (y / HOLE[1]).square()))
        slopes = STEEP * torch.stack([x, y, 1.6 * x.abs(), -hole])
        slopes -= slopes.mean((1, 2), keepdim=True)
        # The slopes, and a constant that moves the threshold. The division compensates the gain of the low-pass.
        planes = torch.cat([slopes, torch.ones(1, rows, columns)]).unsqueeze(1)
        raw = planes / smooth(torch.ones(1, 1, rows, columns), SHARE_CELLS)
        self._seen = smooth(raw, SHARE_CELLS).squeeze(1)
        self._packed = pack(raw, packing).to(device)
        first = SHARE_CHANNEL * packing**2
        self._channels = slice(first, first + packing**2)

    def apply(self, noise: torch.Tensor, direction: Direction, share: float) -> None:
        """Add the slopes of `direction` to `noise`, float [1, channels, h, w], in place. share: the second scene's area
        of the frame, 0 to 1, which stays the same."""
        sides = direction.across, direction.down, direction.aside
        free = min(sum(map(abs, sides)), 1.0)
        part = effect(share)
        if free * part < TINY:
            return
        parts = [part * of for of in (*sides, free)]
        slope = torch.tensordot(self._seen.new_tensor(parts), self._seen[:-1], 1)
        for packed, alpha in zip(self._packed, (*parts, self._plane(slope, share)), strict=True):
            noise[0, self._channels].add_(packed, alpha=alpha)

    def _plane(self, slope: torch.Tensor, share: float) -> float:
        """The constant to add to a slope [rows, columns] so that the area stays the same: with a standard normal field
        added, `share` of the frame is above the threshold, as without a slope."""
        threshold, added = NormalDist().inv_cdf(1.0 - share), 0.0
        for _ in range(ROUNDS):  # Newton's
            above = slope + added * self._seen[-1] - threshold
            wrong = float(torch.special.ndtr(above).mean()) - share
            rise = float((above.square() / -2).exp().mean()) / math.sqrt(2 * math.pi)
            added -= min(max(wrong / max(rise, 1e-3), -1.0), 1.0)
        return added
