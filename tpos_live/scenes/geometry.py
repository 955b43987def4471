"""Scene families of geometric figures: kaleidoscope, mandala, fractal, honeycomb."""

from __future__ import annotations

import math

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, step

JEWEL = [
    (0.08, 0.05, 300),
    (0.24, 0.13, 290),
    (0.42, 0.17, 265),
    (0.58, 0.12, 205),
    (0.58, 0.2, 355),
    (0.72, 0.17, 45),
    (0.86, 0.13, 85),
]
LOTUS = [(0.05, 0.03, 290), (0.16, 0.09, 300), (0.32, 0.14, 330), (0.5, 0.16, 0), (0.7, 0.13, 30), (0.9, 0.08, 75)]
GILT = [(0.3, 0.07, 60), (0.62, 0.12, 75), (0.85, 0.12, 88), (0.97, 0.05, 95)]
CORAL = [
    (0.03, 0.02, 265),
    (0.14, 0.08, 268),
    (0.3, 0.12, 245),
    (0.5, 0.11, 205),
    (0.72, 0.11, 165),
    (0.86, 0.12, 95),
    (0.97, 0.04, 85),
]
HONEY = [(0.06, 0.03, 45), (0.2, 0.07, 50), (0.42, 0.12, 58), (0.64, 0.15, 70), (0.82, 0.14, 84), (0.96, 0.06, 95)]


def kaleidoscope(f: Fields, k: SceneParameters) -> Light:
    """Six mirrors of coloured glass, lit from behind; `phase` slides the glass, noise stains it."""
    x, y = f.x - 0.4 * k.centre_x, f.y - 0.4 * k.centre_y
    x, y = x + 0.03 * f.soft(0, 2.8), y + 0.03 * f.soft(1, 2.8)
    r = torch.sqrt(x * x + y * y + 1e-4)
    sector = math.pi / 3
    fold = ((torch.atan2(y, x) + k.turn / 6) % sector - sector / 2).abs()
    u, v = r * torch.cos(fold), r * torch.sin(fold)
    sine, cosine = torch.sin(k.phase), torch.cos(k.phase)
    panes = (
        torch.cos(10.0 * u + 1.3 * sine),
        torch.cos(6.5 * u + 11.0 * v + 1.3 * cosine),
        torch.cos(7.5 * u - 12.5 * v - 1.4 * sine + 0.8 * cosine),
        torch.cos(4.0 * u + 3.0 * v - 1.0 * cosine + 0.9),
    )
    tint: torch.Tensor | float = 0.0
    lead: torch.Tensor | float = 0.0
    for weight, pane in zip((0.16, 0.2, 0.13, 0.3), panes, strict=True):
        tint = tint + weight * (2 * step(-0.1, 0.1, pane) - 1)
        lead = lead + line(pane, 0.11)
    assert isinstance(tint, torch.Tensor) and isinstance(lead, torch.Tensor)
    stain = f.soft(2, 2.0)
    bevel = sum(pane for pane in panes) / 4
    behind = torch.exp(-1.4 * (r - 0.3).clamp(min=0) ** 1.5 - r * (1.6 - 1.0 * k.intensity)) * (
        0.25 + 0.9 * k.intensity
    )
    value = 0.46 + 0.6 * tint + 0.12 * stain
    glass = k.palette.ramp(JEWEL, (value * (0.65 + 0.4 * behind.clamp(0, 1))).clamp(0, 0.93))
    cames = (lead * 0.7).clamp(0, 1)
    glass = glass * (0.05 + 1.5 * behind) * (1 - 0.85 * cames) * (1 + 0.25 * stain + 0.7 * bevel)
    star = torch.exp(-((r / 0.06) ** 2)) + 0.3 * line(v, 0.012) * torch.exp(-4.5 * r)
    gleam = step(0.55, 0.95, bevel + 0.1 * stain) * behind
    hot = k.palette.flat(0.93, 0.07, 80) * (star * (0.2 + 1.1 * k.intensity) + 1.2 * gleam)
    return Light(glass * 0.9, glass * 0.3 * behind + hot)


def mandala(f: Fields, k: SceneParameters) -> Light:
    """A lotus of gilded petals that opens ring by ring: a bud at 0, the whole flower at 1."""
    x, y = f.x - 0.4 * k.centre_x, f.y - 0.4 * k.centre_y
    r = torch.sqrt(x * x + y * y + 1e-4) * (1 + 0.02 * f.soft(0, 2.2))
    angle = torch.atan2(y, x) + k.turn / 4
    silk = f.rough(1, (2.6, 2.6), 0.55)
    ground = k.palette.ramp(LOTUS, (0.2 + 0.06 * silk - 0.05 * r).clamp(0, 1))
    halo = torch.exp(-2.0 * r) * (0.15 + 0.6 * k.intensity)
    light = ground * (0.6 + halo)
    gilt = torch.zeros_like(light[:, :1] + r)
    etched = gilt
    rings = ((1.22, 12, 1), (0.97, 12, -1), (0.74, 8, 1), (0.52, 8, -1), (0.33, 8, 1), (0.17, 4, -1))
    for index, (radius, petals, sense) in enumerate(rings):
        open_ = step(0.0, 0.3, k.intensity * 1.25 + 0.25 - 0.2 * (5 - index))
        wave = (torch.cos(petals * angle / 2 + sense * k.phase / 2)).abs()
        shape = 0.74 + 0.26 * wave**0.7
        etched = torch.maximum(etched, line(radius * shape - r, 0.008))
        tip = radius * (0.35 + 0.65 * open_) * shape
        inside = tip - r
        body = step(-0.008, 0.008, inside) * open_
        depth = (inside / (0.3 * radius)).clamp(0, 1)
        vein = line(wave - 1.0, 0.03) * (1 - depth)
        value = 0.34 + 0.1 * index * 0.6 + 0.34 * (1 - depth) * (0.5 + 0.5 * wave) + 0.09 * silk - 0.2 * depth
        petal = k.palette.ramp(LOTUS, value.clamp(0, 1)) * (0.3 + 0.7 * (1 - depth) * (0.35 + halo))
        light = torch.lerp(light * (1 - 0.55 * step(-0.16, 0.0, inside) * (1 - body) * open_), petal, body)
        edge = line(inside, 0.009 + 0.004 * radius) * open_
        inner = line(inside - 0.07 * radius - 0.02, 0.007) * open_ * wave**3
        gilt = gilt * (1 - 0.95 * body) + edge + 0.55 * inner + 0.4 * vein * body
        bead = torch.exp(-(((r - tip * 0.9) / 0.025) ** 2)) * step(0.96, 0.995, wave) * open_
        gilt = gilt + 0.9 * bead
    shine = (0.55 + 0.45 * f.soft(2, 2.8)).clamp(0.12, 1.6)
    gold = k.palette.ramp(GILT, (0.45 + 0.3 * shine - 0.25 * r).clamp(0, 1)) * gilt * shine
    light = light + k.palette.ramp(LOTUS, 0.3 + 0.1 * silk) * etched * 1.1 * (1 - k.intensity)
    fade = torch.exp(-2.6 * (r - 0.6).clamp(min=0) ** 2)
    heart = torch.exp(-((r / (0.06 + 0.03 * k.intensity)) ** 2))
    hot = heart * k.palette.flat(0.96, 0.05, 85) * (0.6 + 1.9 * k.intensity)
    return Light(light * fade, gold * fade * (0.35 + 0.75 * k.intensity) + hot)


def fractal(f: Fields, k: SceneParameters) -> Light:
    """A Julia set with glowing orbit traps; its parameter c moves on a circle with `phase` and drifts with the noise.

    z -> z^2 + c (Julia, 1918), coloured by how near the orbit of z comes to a cross and a circle.
    """
    zoom = 1.32 - 0.4 * k.intensity
    a = zoom * (f.x + 0.12 - 0.4 * k.centre_x) + 0.02 * f.soft(2, 2.0)
    b = zoom * (f.y - 0.4 * k.centre_y) + 0.02 * f.soft(3, 2.0)
    a, b = 0.87 * a + 0.5 * b, 0.87 * b - 0.5 * a
    real = -0.78 + 0.04 * torch.cos(k.phase) + 0.02 * f.soft(0, 5.0)
    imag = 0.16 + 0.04 * torch.sin(k.phase) + 0.02 * f.soft(1, 5.0)
    stalk = torch.full_like(a + real, 9.0)
    pearl, near = stalk.clone(), stalk.clone()
    escape, alive = torch.zeros_like(stalk), torch.ones_like(stalk)
    turns = 9
    for turn in range(turns):
        a, b = a * a - b * b + real, 2 * a * b + imag
        size = torch.sqrt(a * a + b * b)
        alive = alive * step(4.0, 1.5, size)
        escape = escape + alive
        late = 0.012 * turn + 1 - alive
        stalk = torch.minimum(stalk, torch.minimum(a.abs(), b.abs()) + late)
        pearl = torch.minimum(pearl, (size - 0.45).abs() + late)
        near = torch.minimum(near, size + 1 - alive)
        a, b = a.clamp(-9, 9), b.clamp(-9, 9)
    depth = escape / turns
    shore = torch.exp(-(((depth - 0.72) / 0.2) ** 2))
    value = 0.06 + 0.4 * shore + 0.16 * depth * torch.exp(-3 * near) + 0.14 * depth + 0.04 * f.soft(2, 3.0)
    body = k.palette.ramp(CORAL, value.clamp(0, 1)) * (0.4 + (0.75 * shore + 0.4 * depth) * (0.35 + k.intensity))
    arms = line(stalk, 0.024) + 0.12 * line(stalk, 0.1)
    rings = line(pearl, 0.025)
    glow = k.palette.ramp(CORAL, (0.78 - 0.8 * near + 0.12 * arms).clamp(0.36, 0.95)) * arms
    glow = glow + k.palette.flat(0.68, 0.18, 20) * rings * 0.7
    return Light(body, glow * depth**1.5 * (0.1 + 1.6 * k.intensity))


def _hexagon(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Hexagonal distance of x, y from 0 (hexagon with a corner on top): 1 on the sides at inner radius 1."""
    return torch.maximum(x.abs(), 0.5 * x.abs() + 0.8660254 * y.abs())


def honeycomb(f: Fields, k: SceneParameters) -> Light:
    """Cells of wax seen a little from the side, honey glowing in them; a few at 0, all of them at 1."""
    size = 0.15
    focus_x, focus_y = -0.25 + 0.4 * k.centre_x, -0.15 + 0.3 * k.centre_y
    x = f.x + 0.012 * f.soft(0, 3.0)
    y = f.y + 0.012 * f.soft(1, 3.0)
    wide, tall = 2 * size, 2 * size * math.sqrt(3)
    best = torch.full_like(x + focus_x, 9.0)
    mid_x, mid_y = best, best
    for shift in (0.0, 0.5):
        at_x = (torch.round(x / wide - shift) + shift) * wide
        at_y = (torch.round(y / tall - shift) + shift) * tall
        here = _hexagon(x - at_x, y - at_y) / size
        mid_x = torch.where(here < best, at_x, mid_x)
        mid_y = torch.where(here < best, at_y, mid_y)
        best = torch.minimum(best, here)
    away = torch.sqrt((mid_x - focus_x) ** 2 + (mid_y - focus_y) ** 2)
    level = f.at(2, 2.0, mid_x, mid_y)
    pulse = 0.3 * torch.sin(k.phase - 4 * away)
    full = torch.sigmoid(2.2 * (level + pulse + 3.4 * k.intensity - 1.3 * away - 1.1))
    # The floor of a cell lies deeper, so it is drawn smaller and shifted towards the vanishing point.
    dx, dy = x - mid_x, y - mid_y
    deep = 0.16 * (1 - 0.6 * full)
    floor = _hexagon(dx + deep * (mid_x - focus_x), dy + deep * (mid_y - focus_y)) / (size * 0.8)
    rim = step(0.8, 0.88, best)
    inside = step(1.06, 0.94, floor) * (1 - rim)
    wall = (1 - rim) * (1 - inside)
    lean = (dx * (mid_x - focus_x) + dy * (mid_y - focus_y)) / (away + 0.1) / size
    wax = 0.3 + 0.12 * f.soft(3, 1.2) + 0.22 * full - 0.12 * away
    top = k.palette.ramp(HONEY, (wax + 0.16 * line(best - 0.86, 0.05)).clamp(0, 1)) * (0.4 + 0.7 * full)
    side = k.palette.ramp(HONEY, (0.16 + 0.3 * full + 0.12 * lean).clamp(0, 1)) * (0.35 + 0.9 * full)
    pool = 0.22 + 0.5 * full + 0.16 * (1 - floor) + 0.06 * level - 0.14 * (dy - dx) / size
    honey = k.palette.ramp(HONEY, pool.clamp(0, 0.9)) * (0.2 + 0.75 * full)
    glint = torch.exp(-(((dx + 0.38 * size) / (0.16 * size)) ** 2 + ((dy + 0.34 * size) / (0.13 * size)) ** 2))
    fade = torch.exp(-(1.9 - 0.9 * k.intensity) * away**1.8)
    base = (top * rim + side * wall + honey * inside * 0.8) * (0.02 + 1.05 * fade)
    hot = k.palette.ramp(HONEY, (0.6 + 0.3 * full).clamp(0, 1)) * inside * full**2 * (1.2 - 0.5 * floor)
    sparkle = glint * inside * (0.25 + full) * k.palette.flat(0.97, 0.03, 95)
    return Light(base, (hot * (0.1 + 0.4 * k.intensity) + sparkle * 0.9) * fade)


FAMILIES = {
    "kaleidoscope": Family(
        kaleidoscope, JEWEL, drift=180.0,
        phrases=(
            "kaleidoscope", "a kaleidoscope", "kaleidoscopic mirrors", "stained glass", "psychedelic patterns",
            "psychedelic", "coloured glass", "mirrored shapes", "a rose window", "symmetry", "jewels in mirrors",
            "a prism of colours", "trippy mirrors", "glass mosaic", "endless mirrors", "symmetric shards",
        ),
        held_out=("mirror symmetry", "cathedral window"),
    ),
    "mandala": Family(
        mandala, LOTUS, drift=60.0,
        phrases=(
            "mandala", "a mandala", "a golden mandala", "sacred geometry", "lotus mandala", "meditation",
            "a lotus ornament", "yantra", "concentric petals", "indian ornament", "a rosette", "filigree rings",
            "spiritual circle", "zen", "buddhist ornament", "opening lotus",
        ),
        held_out=("ornamental circle", "chakra"),
    ),
    "fractal": Family(
        fractal, CORAL, drift=60.0,
        phrases=(
            "fractal", "a fractal", "julia set", "mandelbrot set", "fractal spirals", "infinite detail",
            "a glowing fractal", "chaos theory", "fractal zoom", "self similar shapes", "mathematical art",
            "recursive spirals", "infinity", "complex numbers", "fractal coral", "endless recursion",
        ),
        held_out=("iterated function", "mathematics"),
    ),
    "honeycomb": Family(
        honeycomb, HONEY, drift=40.0,
        phrases=(
            "honeycomb", "a honeycomb", "honey", "hexagons", "a beehive", "wax cells", "glowing hexagons",
            "golden honey", "hexagonal tiles", "a bee hive full of honey", "hexagon pattern", "hive",
            "amber cells", "a wall of hexagons", "hexagonal grid", "sweet golden cells",
        ),
        held_out=("bees", "hexagonal lattice"),
    ),
}  # fmt: skip
