"""From a scene's light to a finished image: bloom, mood, tone mapping and style.

All steps up to `film` use linear light; styles act on the finished image.
"""

from __future__ import annotations

import torch

from tpos_live.scenes import separable
from tpos_live.scenes.base import Light
from tpos_live.scenes.palettes import linear_to_oklab, oklab_to_linear, power

STYLES = ("natural", "neon", "pastel", "monochrome", "watercolour", "infrared")
Mood = tuple[float, float, float]
"""Exposure, saturation and contrast, each a factor."""
MOODS: dict[str, Mood] = {
    "plain": (1.0, 1.0, 1.0),
    "dark": (0.42, 0.9, 1.15),
    "bright": (1.7, 1.05, 0.95),
    "calm": (0.85, 0.65, 0.85),
    "energetic": (1.3, 1.3, 1.2),
}
_THERMAL = torch.tensor(
    [
        (0.06, 0.03, 290.0),
        (0.34, 0.17, 300.0),
        (0.52, 0.2, 10.0),
        (0.7, 0.17, 45.0),
        (0.86, 0.15, 85.0),
        (0.98, 0.03, 100.0),
    ]
)


def blur(light: torch.Tensor, *radii: tuple[float, float]) -> torch.Tensor:
    """Weighted sum of wide blurs. light: float [batch, c, h, w], h and w multiples of 8. radii: for each blur (radius
    as a share of the width, weight). Works on images shrunk by 4 or 8, which is invisible in bloom."""
    (h, w), kind = light.shape[-2:], (light.device, light.dtype)
    total = torch.zeros_like(light)
    for shrink in (4, 8):
        small: torch.Tensor | None = None
        for radius, weight in radii:
            if (4 if radius < 0.03 else 8) == shrink:
                sides = (separable.soft_shrink(side, radius * w / shrink, shrink, *kind) for side in (h, w))
                soft = weight * separable.apply(light, *sides)
                small = soft if small is None else small + soft
        if small is not None:
            larger = (separable.enlarge(side // shrink, shrink, "bilinear", *kind) for side in (h, w))
            total += separable.apply(small, *larger)
    return total


def bloom(emitters: torch.Tensor) -> torch.Tensor:
    """Bloom of emitters, with three radii of 1.2, 4 and 12 % of the width."""
    return blur(emitters, (0.012, 0.30), (0.04, 0.22), (0.12, 0.14))


def glowing(light: Light) -> torch.Tensor:
    """Linear light [batch, 3, h, w] of a scene with its bloom."""
    return light.base + light.emit + bloom(light.emit)


def film(light: torch.Tensor) -> torch.Tensor:
    """Tone mapping from linear light to display values in [0, 1], with a soft shoulder and desaturated highlights."""
    grey = light.mean(1, keepdim=True)
    mixed = torch.lerp(light, grey, (grey / (grey + 3.0)) * 0.75)
    toned = mixed * (1 + mixed / 16) / (1 + mixed)
    return encode(toned.clamp(0, 1))


def encode(linear: torch.Tensor) -> torch.Tensor:
    """Linear to sRGB values (IEC 61966-2-1)."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * power(linear.clamp(min=1e-6), 1 / 2.4) - 0.055)


def decode(image: torch.Tensor) -> torch.Tensor:
    """sRGB values to linear (IEC 61966-2-1)."""
    return torch.where(image <= 0.04045, image / 12.92, power((image.clamp(min=0) + 0.055) / 1.055, 2.4))


def apply_mood(light: torch.Tensor, mood: torch.Tensor) -> torch.Tensor:
    """Change exposure, saturation and contrast of linear light. mood: float [batch, 3], as in MOODS."""
    exposure, saturation, contrast = (mood[:, i].view(-1, 1, 1, 1) for i in range(3))
    grey = light.mean(1, keepdim=True)
    coloured = (grey + (light - grey) * saturation).clamp(min=0)
    return exposure * coloured * ((grey + 0.02) / 0.3).clamp(0.05, 8.0) ** (contrast - 1)


def apply_style(image: torch.Tensor, style: str) -> torch.Tensor:
    """Apply one of STYLES to a finished image [batch, 3, h, w] in [0, 1]. Raises ValueError for an unknown style."""
    if style == "natural":
        return image
    lab = linear_to_oklab(decode(image))
    lightness, chroma = lab[:, :1], lab[:, 1:]
    if style == "monochrome":
        tint = torch.tensor([0.004, -0.012], device=lab.device, dtype=lab.dtype).view(1, 2, 1, 1)
        lab = torch.cat([lightness, tint.expand_as(chroma) * (1 - lightness)], 1)
    elif style == "pastel":
        lab = torch.cat([0.5 + 0.47 * lightness, chroma * 0.62], 1)
    elif style == "neon":
        depth = (lightness**1.45) * 1.1
        size = chroma.square().sum(1, keepdim=True).sqrt()
        lab = torch.cat([depth, chroma * (0.6 + 1.1 * torch.exp(-size / 0.12)) * (lightness * 2.2).clamp(0, 1)], 1)
    elif style == "watercolour":
        # Light becomes pigment on paper: brighter parts of the scene get more pigment.
        wash = (lightness * 1.05).clamp(0, 1)
        edge = (wash - blur(wash, (0.02, 1.0))).abs() * 0.5
        lab = torch.cat([0.965 - 0.42 * wash**1.4 - edge, chroma * 0.95 + 0.012], 1)
    elif style == "infrared":
        raw = _THERMAL.to(lab)
        angle = raw[:, 2] * (torch.pi / 180)
        stops = torch.stack([raw[:, 0], raw[:, 1] * angle.cos(), raw[:, 1] * angle.sin()], 1)
        at = lightness.clamp(0, 1) * (len(stops) - 1)
        lab = torch.zeros_like(lab)
        for k in range(len(stops)):
            lab = lab + (1 - (at - k).abs()).clamp(min=0) * stops[k].view(1, 3, 1, 1)
    else:
        raise ValueError(f"unknown style {style!r}; choose from {', '.join(STYLES)}")
    return encode(oklab_to_linear(lab).clamp(0, 1))
