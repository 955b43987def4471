"""`tpos-live evaluate look`: measurable rules of a good image, checked on renders of every scene family."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import click
import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.diffusion.sampling.noise_field import NoiseField
from tpos_live.evaluation.metrics.optical_flow import residual
from tpos_live.scenes.finishing import decode
from tpos_live.scenes.palettes import linear_to_oklab
from tpos_live.training.image_model.recipe import PLAIN, SCALARS, Recipe, render

FRAME = 1 / 30
HUES = 24
"""Bins of the hue circle; the dominant and the support colour cover four neighbouring bins (60 degrees) each."""


@dataclass(frozen=True)
class Rule:
    """A rule: low <= value <= high. text: a description of the value."""

    name: str
    text: str
    low: float = -np.inf
    high: float = np.inf

    def kept(self, value: float) -> bool:
        return bool(self.low <= value <= self.high)


RULES = (
    Rule("vivid", "part of the area above chroma 0.25", high=0.05),
    Rule("accent", "part of the area that is neither the dominant nor the support colour", high=0.1),
    Rule("clipped", "part of the area with a channel at its end", high=0.01),
    Rule("tint", "mean chroma of the shadows", low=0.008),
    Rule("crushed", "part of the area that is black", high=0.5),
    Rule("quiet", "part of the area without detail", low=0.3),
    Rule("slope", "exponent of the power spectrum", low=-2.6, high=-1.6),
    Rule("boil", "part of the change in 1/30 s that no movement explains", high=0.3),
)
OFF_CENTRE = 0.1
"""Distance of the focus from the centre, in heights, from which it counts as off-centre."""


def measure(images: torch.Tensor) -> dict[str, float]:
    """Values of all rules except `boil`, and of `focus`; means over images float [batch, 3, h, w] in [0, 1]."""
    lab = linear_to_oklab(decode(images))
    light, chroma = lab[:, 0], lab[:, 1:].norm(dim=1)
    dark = (light > 0.08) & (light < 0.35)
    return {
        "vivid": _share(chroma > 0.25),
        "accent": _accent(lab, chroma),
        "clipped": _share((images > 254.5 / 255).any(1)),
        "tint": float(chroma[dark].mean()) if dark.any() else 1.0,
        "crushed": _share((images < 3 / 255).all(1)),
        "quiet": _quiet(light),
        "slope": float(np.mean([spectrum_slope(one) for one in light])),
        "focus": _focus(light),
    }


def _share(mask: torch.Tensor) -> float:
    return float(mask.float().mean())


def _accent(lab: torch.Tensor, chroma: torch.Tensor) -> float:
    """Share of the image with a colour outside the two most frequent hue ranges of 60 degrees."""
    shares = []
    hue = torch.atan2(lab[:, 2], lab[:, 1]) / (2 * torch.pi) % 1
    for one, strong in zip((hue * HUES).long() % HUES, chroma > 0.05, strict=True):
        counts = np.bincount(one[strong].numpy(), minlength=HUES) / strong.numel()
        for _ in range(2):
            stretches = [sum(counts[(start + k) % HUES] for k in range(4)) for start in range(HUES)]
            start = int(np.argmax(stretches))
            counts[[(start + k) % HUES for k in range(4)]] = 0
        shares.append(float(counts.sum()))
    return float(np.mean(shares))


def _quiet(light: torch.Tensor) -> float:
    """Share of blocks (a sixteenth of the height) with a standard deviation of lightness below 0.02."""
    side = max(light.shape[-2] // 16, 2)
    mean = F.avg_pool2d(light[:, None], side)
    spread = (F.avg_pool2d(light[:, None] ** 2, side) - mean**2).clamp(min=0).sqrt()
    return _share(spread < 0.02)


def _focus(light: torch.Tensor) -> float:
    """Distance of the focus from the centre, in heights. The focus is the centroid of the contrast to the mean."""
    h, w = light.shape[-2:]
    weight = F.avg_pool2d((light - light.mean((1, 2), keepdim=True))[:, None] ** 2, max(h // 16, 1))
    weight = weight[:, 0] ** 2
    rows, columns = weight.shape[-2:]
    y = (torch.arange(rows) + 0.5) / rows - 0.5
    x = ((torch.arange(columns) + 0.5) / columns - 0.5) * (w / h)
    total = weight.sum((1, 2)).clamp(min=1e-9)
    down, right = (weight.sum(2) * y).sum(1) / total, (weight.sum(1) * x).sum(1) / total
    return float(torch.hypot(down, right).mean())


def spectrum_slope(light: torch.Tensor) -> float:
    """Exponent of the radial power spectrum of one image [h, w], from 4 cycles to half of Nyquist.

    Least squares in logarithms over octave thirds; photographs of nature have about -2 (Field 1987).
    """
    h, w = light.shape
    window = torch.hann_window(h)[:, None] * torch.hann_window(w)
    power = torch.fft.rfft2((light - light.mean()) * window).abs() ** 2
    y, x = torch.fft.fftfreq(h)[:, None] * h, torch.fft.rfftfreq(w) * w * (h / w)
    radius = torch.hypot(y.expand_as(power), x.expand_as(power))
    edges = 4.0 * 2 ** (torch.arange(0, 40) / 3)
    edges = edges[edges <= h / 4]
    middles, levels = [], []
    for low, high in pairwise(edges):
        ring = (radius >= low) & (radius < high)
        if ring.any():
            middles.append(float((low * high).sqrt().log()))
            levels.append(float(power[ring].mean().clamp(min=1e-12).log()))
    return float(np.polyfit(middles, levels, 1)[0]) if len(middles) > 1 else 0.0


def boil(family: str, seed: int, cells: tuple[int, int], moments: int) -> float:
    """Share of a scene's change that optical flow does not explain, mean over moments of its noise walk."""
    rng = random.Random(f"{seed} {family}")
    field = NoiseField(4, *cells)
    clock = next(scalar.rate for scalar in SCALARS if scalar.source == "clock")
    parts = []
    for _ in range(moments):
        start, one, hue = rng.uniform(0, 500), rng.randrange(2**31), rng.random()
        shown = []
        for walk in (start, start + FRAME):
            recipe = Recipe(family, scalars=(0.6, hue, clock * walk % 1))
            image = render(field.at(one, 0, walk).clone(), [recipe])
            shown.append(linear_to_oklab(decode(image))[:, :1])
        parts.append(residual(*shown))
    return float(np.mean(parts))


def examine(family: str, images: int, seed: int, cells: tuple[int, int]) -> dict[str, float]:
    """All values of a family, from `images` renders at intensities from 0.15 to 0.95."""
    rng = random.Random(f"{seed} {family}")
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    recipes = [
        Recipe(family, scalars=(0.15 + 0.8 * k / max(images - 1, 1), *(rng.random() for _ in PLAIN[1:])))
        for k in range(images)
    ]
    rendered = render(torch.randn(images, 4, *cells, generator=generator), recipes)
    return measure(rendered) | {"boil": boil(family, seed, cells, max(images // 4, 1))}


def evaluate_aesthetics(
    families: Sequence[str],
    images: int,
    seed: int,
    size: tuple[int, int],
    as_json: bool,
) -> dict[str, dict[str, float]]:
    """Measure families, print a table in which broken rules are marked, and return the values by family.

    size: (width, height) in pixels, multiples of 8.
    """
    cells = (max(size[1] // 8, 4), max(size[0] // 8, 4))
    values = {}
    if not as_json:
        for rule in RULES:
            click.echo(f"{rule.name:<8} {rule.text}: {_range(rule)}")
        click.echo(f"\n{'family':<16}" + "".join(f"{rule.name:>10}" for rule in RULES) + f"{'focus':>10}")
    for family in families:
        found = values[family] = examine(family, images, seed, cells)
        kept = {rule.name: rule.kept(found[rule.name]) for rule in RULES}
        if as_json:
            row = {"kind": "family", "family": family, "values": found, "kept": kept, "passed": all(kept.values())}
            click.echo(json.dumps(row | {"n": images, "seed": seed, "off_centre": found["focus"] >= OFF_CENTRE}))
        else:
            cells_text = "".join(f"{found[r.name]:>9.3f}{' ' if kept[r.name] else '!'}" for r in RULES)
            click.echo(f"{family:<16}{cells_text}{found['focus']:>9.3f}{'*' if found['focus'] >= OFF_CENTRE else ' '}")
    away = sum(found["focus"] >= OFF_CENTRE for found in values.values())
    good = sum(all(rule.kept(found[rule.name]) for rule in RULES) for found in values.values())
    summary = {"families": len(values), "keep_every_rule": good, "off_centre": away, "off_centre_bar": 0.5}
    if as_json:
        passed = good == len(values) and 2 * away >= len(values)
        click.echo(json.dumps({"kind": "summary", **summary, "passed": passed}))
    else:
        click.echo(f"\n{good} of {len(values)} families keep every rule (! = broken)")
        click.echo(f"the focus is off-centre (*) in {away}; it should be in half of them")
    return values


def _range(rule: Rule) -> str:
    if np.isinf(rule.low):
        return f"at most {rule.high:g}"
    return f"at least {rule.low:g}" if np.isinf(rule.high) else f"{rule.low:g} to {rule.high:g}"
