"""Scene families: nebula, galaxy, tunnel, city at night."""

from __future__ import annotations

import math

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, peaks, slope, step

GAS = [(0.01, 0.01, 280), (0.1, 0.06, 275), (0.26, 0.12, 290), (0.46, 0.17, 330), (0.68, 0.15, 10), (0.88, 0.09, 50)]
VEIL = [(0.01, 0.01, 220), (0.12, 0.05, 225), (0.34, 0.09, 205), (0.6, 0.1, 195), (0.85, 0.06, 185)]
DISC = [(0.01, 0.01, 270), (0.14, 0.07, 272), (0.34, 0.13, 266), (0.56, 0.14, 285), (0.74, 0.1, 340), (0.95, 0.05, 75)]
TUBE = [(0.01, 0.01, 290), (0.14, 0.09, 295), (0.36, 0.19, 305), (0.6, 0.19, 240), (0.85, 0.1, 205), (0.97, 0.03, 195)]
LAMP = [(0.62, 0.17, 45), (0.8, 0.14, 75), (0.9, 0.06, 90), (0.75, 0.12, 220), (0.62, 0.2, 345)]
DARK = [(0.02, 0.012, 270), (0.08, 0.035, 275), (0.18, 0.06, 285), (0.34, 0.09, 320), (0.5, 0.1, 30)]


STOREY = 16
"""Pixels between two windows, for every image size: the width of one position of Ember's latents. Ember draws windows
with a smaller distance as a grey blur."""


def every(pixels: int, distance: torch.Tensor, f: Fields) -> torch.Tensor:
    """A cosine with a period of `pixels` pixels. distance: from the left or upper edge, in units of f.y."""
    return torch.cos(distance * (math.pi * f.size[0] / pixels))


def nebula(f: Fields, k: SceneParameters) -> Light:
    """Glowing gas with dark lanes of dust and stars of three sizes."""
    gas = f.rough(0, (3.6, 3.6), 0.62)
    veil = f.rough(1, (3.0, 3.0), 0.6)
    lanes = line(f.rough(2, (3.2, 3.2), 0.5), 0.22)
    core = torch.exp(-(((f.x - 0.45 * k.centre_x) ** 2 + (f.y - 0.4 * k.centre_y) ** 2) * 1.8))
    dense = 0.2 * gas + 0.13 + 0.22 * k.intensity + (0.1 + 0.2 * k.intensity) * core
    value = (dense + 0.08 * veil - 0.26 * lanes).clamp(0, 1)
    relief = 1 + (slope(gas, 5, 5) * 0.7).clamp(-0.5, 0.8)
    light = k.palette.ramp(GAS, value) * (0.35 + 1.3 * value) * relief
    cool = (0.24 * veil + 0.2 * k.intensity + 0.08 - 0.2 * lanes - 0.3 * value).clamp(0, 1)
    light = light + k.palette.ramp(VEIL, cool) * 0.9
    fine = peaks(f.soft(3, 0.7), 2.5) * 1.0
    great = peaks(f.soft(2, 0.7), 2.9) * 2.0
    return Light(light * 0.9, light * 0.25 + (fine + great) * (1 - 0.5 * lanes) * k.palette.flat(0.95, 0.03, 250))


def galaxy(f: Fields, k: SceneParameters) -> Light:
    """A spiral with two arms and a warm core, seen at an angle; it rotates with `turn`."""
    x = f.x - 0.3 * k.centre_x
    y = f.y - 0.2 * k.centre_y
    tilt = 0.5
    u = x * 0.88 + y * 0.47
    v = (y * 0.88 - x * 0.47) / tilt
    r = torch.sqrt(u * u + v * v + 1e-4)
    angle = torch.atan2(v, u)
    clump = f.rough(0, (2.4, 2.4), 0.6)
    dust = f.rough(1, (2.0, 2.0), 0.6)
    wind = 2 * angle + 5.2 * torch.log(r + 0.12) - k.turn + 0.55 * clump
    arms = (0.5 + 0.5 * torch.cos(wind)) ** 1.7
    lanes = (0.5 + 0.5 * torch.cos(wind + 1.5 + 0.6 * dust)) ** 5
    spread = torch.exp(-r * (1.75 - 0.7 * k.intensity))
    core = torch.exp(-((r / (0.13 + 0.08 * k.intensity)) ** 1.2))
    value = (
        spread * (0.08 + 0.85 * arms * (1 + 0.3 * clump)) * (0.6 + 0.65 * k.intensity)
        - 0.3 * lanes * spread
        + 0.6 * core
    )
    light = k.palette.ramp(DISC, value.clamp(0, 1)) * (0.3 + 2.0 * value.clamp(0, 1.2))
    knots = peaks(f.soft(1, 0.8) + 0.6 * arms, 2.8) * arms * spread * 3
    stars = peaks(f.soft(3, 0.7), 2.55) * 1.0 + peaks(f.soft(2, 0.7), 2.9) * 2.0
    glow = k.palette.flat(0.93, 0.06, 70) * core * (0.6 + 1.2 * k.intensity)
    return Light(light, glow + knots * k.palette.flat(0.75, 0.14, 350) + stars * k.palette.flat(0.95, 0.02, 250))


def tunnel(f: Fields, k: SceneParameters) -> Light:
    """A flight through a glowing tube: `phase` moves forward, `turn` rotates."""
    x = f.x - 0.4 * k.centre_x
    y = f.y - 0.3 * k.centre_y
    r = torch.sqrt(x * x + y * y + 1e-4)
    depth = -torch.log(r + 0.03)
    angle = torch.atan2(y, x)
    warp = 0.22 * f.soft(0, 2.6)
    rings = torch.cos(5.0 * depth + k.phase + warp * 2)
    ribs = torch.cos(6 * angle + 1.2 * depth + k.turn + warp * 2)
    panel = (0.5 + 0.5 * rings) * (0.5 + 0.5 * ribs)
    near = step(0.02, 0.75, r)
    edge = line(rings - 0.55, 0.2) + 0.8 * line(ribs - 0.75, 0.13)
    grime = 1 + 0.28 * f.rough(1, (2.2, 2.2), 0.6)
    value = (0.05 + 0.42 * panel * (0.5 + 0.6 * k.intensity)) * near * grime + 0.05
    lamp = edge * near * (0.18 + 1.0 * k.intensity) * grime
    shine = k.palette.ramp(TUBE, (0.35 + 0.3 * edge + 0.25 * (1 - near)).clamp(0, 1))
    end = torch.exp(-((r / (0.07 + 0.07 * k.intensity)) ** 1.3))
    return Light(
        k.palette.ramp(TUBE, value.clamp(0, 1)),
        shine * lamp * 1.2 + end * k.palette.flat(0.93, 0.05, 205) * (0.4 + 3.2 * k.intensity),
    )


def city_at_night(f: Fields, k: SceneParameters) -> Light:
    """A skyline with lit windows, its lights spilling into wet streets and water."""
    shore = 0.42 + 0.12 * k.centre_y
    value: torch.Tensor = (0.55 - 0.42 * (shore - f.y).clamp(min=0)).clamp(0, 1)
    haze = f.rough(2, (2.5, 5.0), 0.55)
    sky = k.palette.ramp(DARK, (value + 0.06 * haze + 0.14 * k.intensity).clamp(0, 1)) * 0.8
    light, emit = sky, torch.zeros_like(sky)
    hue = k.palette.ramp(LAMP, (0.5 + 0.33 * f.soft(3, 1.3)).clamp(0, 1))
    for channel, block, high, dim in ((0, 2, 0.62, 0.5), (1, 3, 0.36, 1.0)):
        top = shore - high - 0.3 * f.columns(channel, block)
        wall = step(-0.006, 0.006, f.y - top) * step(0.01, 0.0, f.y - shore)
        grid = step(0.1, 0.45, every(STOREY, f.x + f.aspect, f)) * step(0.0, 0.5, every(STOREY, f.y + 1, f))
        on = step(0.75 - 1.5 * k.intensity, 1.15 - 1.5 * k.intensity, f.cells(2) + 0.2)
        body = k.palette.ramp(DARK, torch.full_like(top, 0.08 + 0.1 * (1 - dim)))
        light = torch.lerp(light, body, wall)
        emit = emit * (1 - wall) + wall * on * grid * hue * (dim * (0.9 + 1.3 * k.intensity))
    water = step(0.0, 0.02, f.y - shore)
    deep = (f.y - shore).clamp(min=0)
    streak = torch.exp(0.9 * f.soft(0, (4.0, 0.6)) + 0.35 * f.soft(1, (0.6, 1.6))) * torch.exp(-2.6 * deep)
    ripple = 0.6 + 0.4 * torch.cos(26 * torch.sqrt(deep + 0.02) * 2.2 + 0.8 * f.soft(2, (0.8, 2.5)) + k.phase)
    mirror = hue * streak * ripple * (0.1 + 0.4 * k.intensity)
    light = torch.lerp(light, k.palette.ramp(DARK, torch.full_like(deep, 0.1)) * 0.8, water)
    lamps = line(f.y - shore + 0.01, 0.012) * step(0.2, 1.3, f.soft(3, (3.0, 0.7))) * (0.6 + 1.4 * k.intensity)
    return Light(light, emit * (1 - water) + mirror * water + lamps * hue)


FAMILIES = {
    "nebula": Family(
        nebula, GAS, drift=40.0,
        phrases=(
            "nebula", "space", "glowing gas in space", "cosmic clouds", "deep space", "a stellar nursery",
            "outer space", "cosmos", "interstellar dust", "universe", "space clouds and stars", "star birth",
            "cosmic dream", "supernova", "astral", "space dust",
        ),
        held_out=("space gas", "orion"),
    ),
    "galaxy": Family(
        galaxy, DISC, drift=40.0,
        phrases=(
            "galaxy", "spiral galaxy", "the heart of a galaxy", "andromeda", "a swirling galaxy", "a spiral of stars",
            "galactic", "a vortex of stars", "black hole", "galactic core", "whirlpool of stars", "a whirling disc",
            "spiral arms", "a distant galaxy", "vortex", "planets",
        ),
        held_out=("star spiral", "galaxies"),
    ),
    "tunnel": Family(
        tunnel, TUBE, drift=45.0,
        phrases=(
            "tunnel", "a neon tunnel", "wormhole", "flying through a tunnel", "time tunnel", "warp speed",
            "vortex tunnel", "a glowing tube", "hyperspace", "portal", "techno tunnel", "light tunnel",
            "a tube of light", "falling into a wormhole", "speed of light", "time warp",
        ),
        held_out=("passage of light", "warp drive"),
    ),
    "city_at_night": Family(
        city_at_night, LAMP, drift=30.0,
        phrases=(
            "city at night", "city lights", "skyline at night", "neon city", "downtown", "skyscrapers",
            "tokyo at night", "a wet street with neon lights", "cyberpunk city", "new york",
            "traffic lights at night", "urban night", "metropolis", "reflections of city lights",
            "buildings with lit windows", "night club",
        ),
        held_out=("cityscape", "manhattan"),
    ),
}  # fmt: skip
