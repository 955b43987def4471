"""Shapes that follow the noise: objects at the maxima of a field (flakes, stars, bubbles), slanted streaks, contours.

The local maxima ("summits") of a smooth field drift, grow and sink as the noise moves. Every pixel gets its offset from
the nearest summit, so a scene can draw an object of any shape at each summit, and the object moves with the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tpos_live.scenes.noise_fields import PIXELS, Fields, smooth, step


@dataclass
class Summits:
    """The offset of every pixel from the nearest summit, each float [batch, 1, h, w].

    x, y: from the summit to the pixel, right and down, in half heights of the image (as Fields.x and y). height: the
    field's value at the summit, about 1.3 on average, seldom above 3. Where no summit is near, x and y are very large.
    """

    x: torch.Tensor
    y: torch.Tensor
    height: torch.Tensor

    @property
    def radius(self) -> torch.Tensor:
        """Distance from the summit in half heights."""
        return torch.sqrt(self.x**2 + self.y**2 + 1e-8)

    def disc(self, radius: float | torch.Tensor, edge: float = 0.25) -> torch.Tensor:
        """A round disc at every summit, with a soft border of `edge` times the radius."""
        return step(1.0, 1.0 - edge, self.radius / radius)


NOWHERE = 1e3
"""Distance in cells that stands for "no summit"."""


def summits(f: Fields, channel: int, sigma: float) -> Summits:
    """Summits of a smooth field of one channel; sigma in cells, at least 0.7. Roughly 60 / sigma^2 in 32x32 cells.

    Summits are cells above their eight neighbours; a parabola along each axis gives their subcell position. Objects may
    have a radius of up to 2 sigma; where objects overlap, each pixel belongs to the nearest.
    """
    small = smooth(f.noise[:, channel : channel + 1], sigma)
    batch, _, h, w = small.shape
    wide = F.pad(small, (1, 1, 1, 1), mode="replicate")
    left, right, above, below = wide[..., 1:-1, :-2], wide[..., 1:-1, 2:], wide[..., :-2, 1:-1], wide[..., 2:, 1:-1]
    top = small >= F.max_pool2d(small, 3, 1, 1)

    def between(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        return ((high - low) / (2 * (2 * small - low - high)).clamp(min=1e-4)).clamp(-0.6, 0.6)

    dx, dy = between(left, right), between(above, below)
    height = small + (right - left) * dx / 4 + (below - above) * dy / 4
    rows = torch.arange(h, device=small.device, dtype=small.dtype).view(1, 1, h, 1)
    columns = torch.arange(w, device=small.device, dtype=small.dtype).view(1, 1, 1, w)
    best = torch.cat([torch.where(top, columns + dx, -NOWHERE), torch.where(top, rows + dy, -NOWHERE), height], 1)
    # Jump flooding: each cell takes the nearest summit of its neighbours, at smaller and smaller distances.
    here = torch.cat([columns.expand(batch, 1, h, w), rows.expand(batch, 1, h, w)], 1)
    jump = 1
    while jump < 2 * sigma:
        jump *= 2
    while jump >= 1:
        best = _nearest(best, here, jump)
        jump //= 2
    return _nearest_of_four(best)


def _nearest_of_four(best: torch.Tensor) -> Summits:
    """For every pixel the nearest summit of the four cells nearest to it. best: each cell's nearest summit (x and y in
    cells, height), [batch, 3, h, w]. Exact where `best` is exact."""
    h, w = best.shape[-2:]
    wide = F.pad(best, (1, 1, 1, 1), value=-NOWHERE)
    rows, columns = ((torch.arange(2 * n, device=best.device) + 1) // 2 for n in (h, w))
    y, x = ((torch.arange(n * PIXELS, device=best.device) + 0.5) / PIXELS - 0.5 for n in (h, w))
    found: tuple[torch.Tensor, ...] = ()
    least = best.new_tensor(0.0)
    for down in (0, 1):
        near = wide.index_select(2, rows + down)
        for across in (0, 1):
            quarters = near.index_select(3, columns + across)
            there = F.interpolate(quarters, scale_factor=PIXELS // 2, mode="nearest")
            dx, dy = x - there[:, :1], y.view(-1, 1) - there[:, 1:2]
            far = torch.addcmul(dx * dx, dy, dy)
            other = (dx, dy, there[:, 2:])
            if not found:
                found, least = other, far
                continue
            closer = far < least
            found = tuple(torch.where(closer, new, old) for new, old in zip(other, found, strict=True))
            least = torch.minimum(far, least)
    unit = 2 / h
    return Summits(found[0] * unit, found[1] * unit, found[2])


def _nearest(best: torch.Tensor, here: torch.Tensor, jump: int) -> torch.Tensor:
    """One round of jump flooding (Rong and Tan 2006, "Jump Flooding in GPU with Applications to Voronoi Diagram"): for
    each cell the nearest summit (x, y, height) of its own and of the eight cells at distance `jump`."""
    h, w = best.shape[-2:]
    wide = F.pad(best, (jump, jump, jump, jump), value=-NOWHERE)
    least = ((best[:, :2] - here) ** 2).sum(1, keepdim=True)
    for down in (0, jump, 2 * jump):
        for across in (0, jump, 2 * jump):
            other = wide[..., down : down + h, across : across + w]
            far = ((other[:, :2] - here) ** 2).sum(1, keepdim=True)
            best = torch.where(far < least, other, best)
            least = torch.minimum(far, least)
    return best


def slanted(f: Fields, channel: int, along: float, across: float, angle: float) -> torch.Tensor:
    """A smooth field of long streaks, [batch, 1, 8h, 8w], unit variance.

    along, across: sigma in cells along and across the streaks. angle: from the vertical in radians; streaks with a
    positive angle fall to the right.
    """
    reach = math.ceil(2.5 * along)
    at = torch.arange(-reach, reach + 1, device=f.noise.device, dtype=f.noise.dtype)
    down, right = at.view(-1, 1), at.view(1, -1)
    u = right * math.cos(angle) - down * math.sin(angle)
    v = right * math.sin(angle) + down * math.cos(angle)
    kernel = torch.exp(-0.5 * ((u / across) ** 2 + (v / along) ** 2))[None, None]
    noise = f.noise[:, channel : channel + 1]
    streaks = F.conv2d(noise, kernel, padding=reach)
    power = F.conv2d(torch.ones_like(noise[:1]), kernel**2, padding=reach)
    return F.interpolate(streaks / power.sqrt(), size=f.size, mode="bicubic", align_corners=False)


def contour(field: torch.Tensor, width: float | torch.Tensor) -> torch.Tensor:
    """A soft line of constant width where a field is 0. width: in pixels at half maximum.

    To first order, the distance to the zero is the field divided by its gradient. Where the field is flat, the line may
    widen to a blot of a few widths.
    """
    down = torch.gradient(field, dim=2)[0]
    across = torch.gradient(field, dim=3)[0]
    steep = torch.sqrt(down**2 + across**2 + 0.012**2)
    return 1 / (1 + (field / (steep * width)) ** 2)


def ridge(field: torch.Tensor, width: float | torch.Tensor) -> torch.Tensor:
    """A line of constant width along the crests of a field of vertical streaks. width: in pixels at half maximum."""
    bend = field[..., 2:] - field[..., :-2]
    return contour(6 * F.pad(bend, (1, 1, 0, 0), mode="replicate"), width) * step(0.1, 1.1, field)
