"""Shapes that follow the noise: round things on summits (flakes, stars, bubbles), slanted streaks, even lines.

A smooth field has summits here and there, and they drift, grow and sink as the noise walks. Every pixel is
told where it stands beside the nearest one; so a scene can draw a thing of any shape around each summit, and
the thing travels with the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tpos_live.scenes.noise_fields import PIXELS, Fields, smooth, step


@dataclass
class Summits:
    """Where every pixel stands beside the nearest summit, each float [batch, 1, h, w].

    x, y: from the summit to the pixel, right and down, in half heights of the image (as Fields.x and y).
    height: of the summit itself, about 1.3 on average, seldom above 3; very low where no summit is near.
    """

    x: torch.Tensor
    y: torch.Tensor
    height: torch.Tensor

    @property
    def radius(self) -> torch.Tensor:
        """Distance from the summit in half heights."""
        return torch.sqrt(self.x**2 + self.y**2 + 1e-8)

    def disc(self, radius: float | torch.Tensor, edge: float = 0.25) -> torch.Tensor:
        """A round disc on every summit, its border soft over `edge` of the radius."""
        return step(1.0, 1.0 - edge, self.radius / radius)


NOWHERE = 1e3
"""Cells: how far away a summit is where there is none."""


def summits(f: Fields, channel: int, sigma: float) -> Summits:
    """Summits of a smooth field of one channel; sigma in cells, at least 0.7. Roughly 60 / sigma^2 in 32 x 32 cells.

    Summits are cells above their eight neighbours, placed between cells by a parabola along each axis. Things
    may be up to 2 sigma in radius; of things that overlap each pixel sees the nearest.
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
    # From neighbour to neighbour the nearest summit spreads over the cells, ever smaller jumps at a time.
    here = torch.cat([columns.expand(batch, 1, h, w), rows.expand(batch, 1, h, w)], 1)
    jump = 1
    while jump < 2 * sigma:
        jump *= 2
    while jump >= 1:
        best = _nearest(best, here, jump)
        jump //= 2
    return _nearest_of_four(best)


def _nearest_of_four(best: torch.Tensor) -> Summits:
    """For every pixel the nearest of the summits (x, y, height in cells) [batch, 3, h, w] that its cell and the three
    cells beside its quarter of the cell know. Exact where `best` is."""
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
    """Of the summits (x, y, height) known here and `jump` to the eight sides: the nearest. One round of jump
    flooding (Rong and Tan 2006, "Jump Flooding in GPU with Applications to Voronoi Diagram")."""
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
    """A smooth field of long streaks: sigma `along` and `across` in cells, `angle` from upright in radians.

    Positive angles fall to the right. Unit variance; [batch, 1, 8h, 8w].
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
    """A soft bright line of even width where a field is 0; width in pixels at half height.

    The distance to the zero is the field over its gradient, to first order; where the field is flat the line
    may spread to a blot of a few widths.
    """
    down = torch.gradient(field, dim=2)[0]
    across = torch.gradient(field, dim=3)[0]
    steep = torch.sqrt(down**2 + across**2 + 0.012**2)
    return 1 / (1 + (field / (steep * width)) ** 2)


def ridge(field: torch.Tensor, width: float | torch.Tensor) -> torch.Tensor:
    """A line of even width along the crests of a field of upright streaks; width in pixels at half height."""
    bend = field[..., 2:] - field[..., :-2]
    return contour(6 * F.pad(bend, (1, 1, 0, 0), mode="replicate"), width) * step(0.1, 1.1, field)
