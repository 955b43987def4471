"""Colour ramps in OKLCH, which map a value in [0, 1] to linear light.

OKLab by Bjorn Ottosson (2020), "A perceptual color space for image processing".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

Stops = Sequence[tuple[float, float, float]]
"""(lightness 0..1, chroma 0..0.3, hue in degrees), evenly spaced from value 0 to value 1."""

STEPS = 512
HUES = {
    "red": 25.0, "orange": 55.0, "gold": 88.0, "green": 148.0,
    "cyan": 200.0, "blue": 255.0, "violet": 300.0, "pink": 350.0,
}  # fmt: skip
"""Hue in OKLCH degrees of each colour that a prompt may name."""
CLUB = [(0.01, 0.01, 275), (0.07, 0.035, 272), (0.15, 0.06, 278), (0.28, 0.09, 290)]
SPOTLIGHTS = [(0.6, 0.2, 150), (0.75, 0.15, 190), (0.62, 0.17, 250), (0.6, 0.24, 320), (0.62, 0.22, 10)]
"""Stops of a dark room with a stage, and of the light in it."""


def power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """base ** exponent for values above zero, in a third of the time of torch's `**`."""
    return torch.log2(base).mul_(exponent).exp2_()


def oklab_to_linear(lab: torch.Tensor) -> torch.Tensor:
    """OKLab [batch, 3, ...] to linear sRGB, with negative values clamped to 0."""
    lightness, a, b = lab[:, 0], lab[:, 1], lab[:, 2]
    l_ = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m_ = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s_ = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * l_ - 3.3077115913 * m_ + 0.2309699292 * s_
    green = -1.2684380046 * l_ + 2.6097574011 * m_ - 0.3413193965 * s_
    blue = -0.0041960863 * l_ - 0.7034186147 * m_ + 1.7076147010 * s_
    return torch.stack([red, green, blue], dim=1).clamp(min=0)


def linear_to_oklab(light: torch.Tensor) -> torch.Tensor:
    """Linear sRGB [batch, 3, ...], not negative, to OKLab."""
    red, green, blue = light.clamp(min=0).unbind(1)
    l_ = power(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue + 1e-9, 1 / 3)
    m_ = power(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue + 1e-9, 1 / 3)
    s_ = power(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue + 1e-9, 1 / 3)
    return torch.stack(
        [
            0.2104542553 * l_ + 0.7936177850 * m_ - 0.0040720468 * s_,
            1.9779984951 * l_ - 2.4285922050 * m_ + 0.4505937099 * s_,
            0.0259040371 * l_ + 0.7827717662 * m_ - 0.8086757660 * s_,
        ],
        dim=1,
    )


class Palette:
    """Colour ramps of one batch, with a common rotation of the hue.

    turn: float [batch], degrees added to every hue.
    """

    def __init__(self, turn: torch.Tensor) -> None:
        self.turn = turn

    def ramp(self, stops: Stops, value: torch.Tensor) -> torch.Tensor:
        """Linear light [batch, 3, h, w] of value [batch, 1, h, w], interpolated in OKLab."""
        batch, (h, w) = len(self.turn), value.shape[-2:]
        table = self._table(stops).expand(batch, 3, STEPS)
        index = (value.clamp(0, 1) * (STEPS - 1) + 0.5).long().view(-1, 1, h * w).expand(batch, 3, h * w)
        return table.gather(2, index).view(batch, 3, h, w)

    def flat(self, lightness: float, chroma: float, hue: float) -> torch.Tensor:
        """One colour as linear light [batch, 3, 1, 1]."""
        return self._lights([(lightness, chroma, hue)])[..., None]

    def _lights(self, stops: Stops) -> torch.Tensor:
        raw = torch.tensor(stops, device=self.turn.device, dtype=self.turn.dtype)
        return oklab_to_linear(self._labs(raw))

    def _labs(self, raw: torch.Tensor) -> torch.Tensor:
        angle = (raw[None, :, 2] + self.turn[:, None]) * (math.pi / 180)
        lightness = raw[None, :, 0].expand_as(angle)
        return torch.stack([lightness, raw[:, 1] * angle.cos(), raw[:, 1] * angle.sin()], dim=1)

    def _table(self, stops: Stops) -> torch.Tensor:
        raw = torch.tensor(stops, device=self.turn.device, dtype=self.turn.dtype)
        labs = self._labs(raw)
        fine = torch.nn.functional.interpolate(labs, size=STEPS, mode="linear", align_corners=True)
        return oklab_to_linear(fine)


def dominant_hue(stops: Stops) -> float:
    """Hue in degrees of the stop with the greatest chroma, which counts as the colour of the palette."""
    return max(stops, key=lambda stop: stop[1])[2]
