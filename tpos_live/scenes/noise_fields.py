"""Random fields as filters of the noise, which is also the model's input.

A scene drawn from these fields is a function of the noise. So the step from noise to image is a regression, which
stays sharp, and moving the noise moves the scene. At the border a filter is normalised over the cells inside, because a
convolution of the model cannot see beyond the border either. Away from the border, a shift of the noise is an exact
shift of the field.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tpos_live.scenes import separable

PIXELS = 8
"""Pixels of the image per cell of the noise, on each axis."""
SHARE_CHANNEL, SHARE_CELLS = 2, 4.0
"""The field that separates two scenes in one image: channel of the noise, and sigma of its low-pass in cells."""

Sigma = float | tuple[float, float]


def smooth(noise: torch.Tensor, sigma: Sigma, factor: int = 1) -> torch.Tensor:
    """Gaussian low-pass with unit variance everywhere, also at the border, enlarged by `factor`.

    noise: float [batch, 1, h, w], white, unit variance. sigma: in cells, one number or (down, across). Returns
    [batch, 1, factor * h, factor * w].
    """
    sigmas = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    places, kind = noise.shape[-2:], (noise.device, noise.dtype)
    down, across = (separable.low_pass(n, width, factor, *kind) for n, width in zip(places, sigmas, strict=True))
    return separable.apply(noise, down, across)


class Fields:
    """Fields and coordinates for one batch of noise.

    noise: float [batch, 4, h, w]. Fields are [batch, 1, 8h, 8w] with zero mean and unit variance.
    x runs over [-aspect, aspect], y over [-1, 1] and points down; both [1, 1, 8h, 8w].
    """

    def __init__(self, noise: torch.Tensor) -> None:
        self.noise = noise
        _, _, h, w = noise.shape
        self.size = (h * PIXELS, w * PIXELS)
        rows, columns = self.size
        y = (torch.arange(rows, device=noise.device) + 0.5) / rows * 2 - 1
        x = ((torch.arange(columns, device=noise.device) + 0.5) / columns * 2 - 1) * (columns / rows)
        self.aspect = columns / rows
        self.y = y.view(1, 1, -1, 1).expand(1, 1, rows, columns)
        self.x = x.view(1, 1, 1, -1).expand(1, 1, rows, columns)
        self._cache: dict[tuple[int, Sigma], torch.Tensor] = {}

    def soft(self, channel: int, sigma: Sigma) -> torch.Tensor:
        """One smooth field of one channel of the noise, sigma in cells of 8 pixels."""
        key = (channel, sigma)
        if key not in self._cache:
            self._cache[key] = smooth(self.noise[:, channel : channel + 1], sigma, PIXELS)
        return self._cache[key]

    def rough(self, channel: int, sigma: Sigma, gain: float = 0.5, octaves: int = 3) -> torch.Tensor:
        """Fractal sum of smooth fields of one channel, each octave with half the sigma; about unit variance."""
        down, across = sigma if isinstance(sigma, tuple) else (sigma, sigma)
        total: torch.Tensor | float = 0.0
        power = 0.0
        for octave in range(octaves):
            weight, scale = gain**octave, 0.5**octave
            total = total + weight * self.soft(channel, (max(down * scale, 0.5), max(across * scale, 0.5)))
            power += weight
        assert isinstance(total, torch.Tensor)
        return total / (0.8 * power)

    def columns(self, channel: int, block: int) -> torch.Tensor:
        """A field that is constant in columns of `block` cells, for skylines without slopes."""
        w = self.noise.shape[-1]
        tall = smooth(self.noise[:, channel : channel + 1], (5.0, 0.5))
        mean = F.avg_pool2d(tall, (1, block), ceil_mode=True) * math.sqrt(block) * 0.85
        wide = mean.repeat_interleave(block, dim=-1)[..., :w]
        return F.interpolate(
            F.interpolate(wide, size=(self.size[0], w), mode="bilinear"), size=self.size, mode="nearest"
        )

    def at(self, channel: int, sigma: Sigma, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The smooth field sampled at x, y [batch or 1, 1, h, w], to give one value to a whole facet or cell."""
        batch = len(self.noise)
        grid = torch.stack([(x / self.aspect).squeeze(1), y.squeeze(1)], -1).expand(batch, -1, -1, -1)
        return F.grid_sample(self.soft(channel, sigma), grid, padding_mode="border", align_corners=False)

    def cells(self, channel: int) -> torch.Tensor:
        """The raw noise, each cell as a square of 8x8 pixels."""
        return F.interpolate(self.noise[:, channel : channel + 1], size=self.size, mode="nearest")


def step(low: float | torch.Tensor, high: float | torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Smooth step from 0 at `low` to 1 at `high`; low > high gives a falling step."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def line(distance: torch.Tensor, width: float | torch.Tensor) -> torch.Tensor:
    """A soft line where `distance` is 0, with a Lorentz profile. width: half width at half maximum."""
    return 1 / (1 + (distance / width) ** 2)


def peaks(field: torch.Tensor, above: float, sharp: float = 9.0) -> torch.Tensor:
    """Round soft discs on the maxima of a field, for stars, sparks and lamps: 1 at the value `above`, at most 1.2.

    Near a maximum a field is a paraboloid, so its exponential is a round Gaussian spot.
    """
    return torch.exp(sharp * (field - above)).clamp(max=1.2)


def slope(field: torch.Tensor, down: int, across: int) -> torch.Tensor:
    """Field minus its value (down, across) pixels away: a relief lit from that side."""
    pad = (abs(across), abs(across), abs(down), abs(down))
    wide = F.pad(field, pad, mode="replicate")
    h, w = field.shape[-2:]
    top, left = abs(down) + down, abs(across) + across
    return field - wide[..., top : top + h, left : left + w]
