"""Scene families of the night sky: starfield, eclipse."""

from __future__ import annotations

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, step
from tpos_live.scenes.shapes import summits

VOID = [
    (0.015, 0.012, 265),
    (0.06, 0.035, 265),
    (0.14, 0.06, 270),
    (0.28, 0.075, 285),
    (0.5, 0.07, 330),
    (0.76, 0.06, 50),
]
STARLIGHT = [(0.85, 0.08, 255), (0.95, 0.03, 245), (0.96, 0.02, 90), (0.86, 0.09, 65), (0.76, 0.13, 40)]
TOTALITY = [
    (0.02, 0.015, 255),
    (0.07, 0.035, 252),
    (0.15, 0.05, 248),
    (0.28, 0.06, 240),
    (0.5, 0.08, 60),
    (0.72, 0.12, 55),
]
CORONA = [(0.12, 0.05, 262), (0.3, 0.07, 255), (0.55, 0.06, 245), (0.8, 0.035, 235), (0.97, 0.012, 90)]


def starfield(f: Fields, k: SceneParameters) -> Light:
    """Stars of three sizes and the band of the Milky Way, a meteor in passing; sparse at 0, ablaze at 1."""
    across = 0.8 * f.y + 0.6 * f.x + 0.14 * f.soft(2, 4.5)
    along = 0.8 * f.x - 0.6 * f.y
    band = torch.exp(-((across / 0.34) ** 2))
    heart = torch.exp(-((across / 0.3) ** 2) - ((along - 0.35) / 0.5) ** 2)
    gas = f.rough(0, (2.8, 2.8), 0.6)
    dust = f.rough(1, (2.4, 2.4), 0.6)
    lane = torch.exp(-(((across + 0.07 * dust) / 0.085) ** 2)) * step(-1.2, 0.8, gas)
    value = (
        0.1 + 0.03 * gas + (0.16 + 0.36 * k.intensity) * band * (0.8 + 0.3 * gas) + (0.06 + 0.36 * k.intensity) * heart
    )
    value = value - (0.18 + 0.22 * k.intensity) * lane * band
    light = k.palette.ramp(VOID, value.clamp(0, 1)) * (0.9 + 0.6 * k.intensity)
    stars: torch.Tensor | float = 0.0
    for channel, sigma, size, bright, keep in (
        (3, 0.7, 0.014, 0.8, 1.9),
        (2, 0.75, 0.017, 1.3, 2.35),
        (1, 1.1, 0.022, 2.4, 2.3),
    ):
        star = summits(f, channel, sigma)
        least = keep - (0.35 + 0.9 * band) * k.intensity
        seen = step(least, least + 0.7, star.height)
        tint = k.palette.ramp(STARLIGHT, (0.5 + 0.33 * f.soft((channel + 1) % 4, 2.2)).clamp(0, 1))
        spot = torch.exp(-((star.radius / (size * (0.7 + 0.5 * seen))) ** 2))
        stars = stars + tint * spot * seen * bright * (0.45 + 1.1 * k.intensity) * (1 - 0.6 * lane)
    great = summits(f, 0, 2.4)
    shown = step(2.0 - 0.5 * k.intensity, 2.6 - 0.5 * k.intensity, great.height)
    halo = torch.exp(-great.radius / 0.06) * 0.5 + 4.0 * torch.exp(-((great.radius / 0.034) ** 2))
    stars = stars + k.palette.flat(0.93, 0.05, 240) * shown * halo * (0.4 + 0.6 * k.intensity)
    way = k.phase / (2 * torch.pi)
    ahead = (f.x * 0.87 + f.y * 0.5) - (-1.1 + 1.7 * way)
    aside = f.y * 0.87 - f.x * 0.5 + 0.62
    trail = torch.exp(3.2 * ahead.clamp(max=0)) * step(0.02, -0.02, ahead) * line(aside, 0.012)
    meteor = trail * torch.sin(k.phase / 2) ** 2 * (0.3 + 1.6 * k.intensity)
    return Light(light, stars + meteor * k.palette.flat(0.95, 0.05, 200))


def eclipse(f: Fields, k: SceneParameters) -> Light:
    """The black sun with its corona over a darkened land; a thin ring at 0, streamers and a diamond at 1."""
    at_x, at_y, radius = 0.2, -0.2, 0.3
    x, y = f.x - at_x, f.y - at_y
    r = torch.sqrt(x * x + y * y + 1e-6)
    cos, sin = x / r, y / r
    out = (r - radius).clamp(min=0)
    edge = 1.25 * radius
    rays = f.at(0, 1.2, at_x + edge * cos, at_y + edge * sin)
    fine = f.at(1, 0.8, at_x + edge * cos, at_y + edge * sin)
    long = 0.09 + 0.2 * k.intensity + (0.03 + 0.06 * k.intensity) * rays * (0.6 + out) + 0.04 * cos * cos
    crown = torch.exp(-out / long.clamp(min=0.03)) * (1 + 0.16 * fine * step(0.0, 0.2, out))
    inner = torch.exp(-out / 0.035)
    disc = step(radius - 0.008, radius + 0.008, r)
    glow = (0.7 * crown + 0.5 * inner) * disc
    dusk = torch.exp(-3.2 * (0.66 - f.y).clamp(min=0))
    haze = f.rough(2, (1.3, 4.5), 0.55)
    value = 0.12 + 0.3 * crown * k.intensity + (0.5 + 0.1 * k.intensity) * dusk + 0.03 * haze + 0.06 * dusk * haze
    sky = k.palette.ramp(TOTALITY, value.clamp(0, 0.92)) * (0.5 + 0.5 * k.intensity)
    ridge = f.y - 0.68 - 0.06 * f.soft(1, (9.0, 4.0)) - 0.03 * f.rough(0, (9.0, 1.6), 0.6)
    land = step(-0.006, 0.012, ridge)
    soil = k.palette.ramp(TOTALITY, (0.1 + 0.1 * torch.exp(-9 * ridge.clamp(min=0))).clamp(0, 1)) * 0.6
    light = torch.lerp(sky * disc, soil, land)
    turn = torch.tensor(-0.75, device=x.device) + 0.3 * torch.sin(k.phase)
    bx, by = x - radius * torch.cos(turn), y - radius * torch.sin(turn)
    bead = torch.sqrt(bx * bx + by * by + 1e-6)
    diamond = 5.0 * torch.exp(-((bead / 0.045) ** 2)) + 0.5 * torch.exp(-bead / 0.09)
    diamond = diamond * k.intensity**1.5
    flare = step(0.7, 1.8, rays) * torch.exp(-out / 0.02) * disc
    white = k.palette.ramp(CORONA, (0.15 + 0.8 * glow).clamp(0, 1)) * glow * (0.5 + 1.7 * k.intensity)
    star = summits(f, 3, 0.8)
    stars = (
        torch.exp(-((star.radius / 0.02) ** 2)) * step(1.8, 2.5, star.height) * disc * (1 - dusk) * step(0.0, 0.3, out)
    )
    emit = white + diamond * k.palette.flat(0.96, 0.03, 85) + flare * k.palette.flat(0.62, 0.2, 0) * (0.5 + k.intensity)
    # Half of the corona gets no bloom, which would cover the black disc.
    return Light(light + 0.6 * white * (1 - land), (emit - 0.6 * white + stars * 0.7) * (1 - land))


FAMILIES = {
    "starfield": Family(
        starfield, VOID, drift=35.0,
        phrases=(
            "starfield", "stars", "starry night", "a starry sky", "the milky way", "a sky full of stars",
            "shooting star", "twinkling stars", "night sky", "constellations", "stardust", "a meteor",
            "countless stars", "a clear night", "falling stars", "firmament",
        ),
        held_out=("starlight", "meteor shower"),
    ),
    "eclipse": Family(
        eclipse, CORONA, drift=30.0,
        phrases=(
            "eclipse", "solar eclipse", "total eclipse", "the black sun", "corona of the sun", "a ring of fire",
            "the moon before the sun", "totality", "diamond ring eclipse", "the sun goes dark", "dark sun",
            "lunar shadow", "an eclipse over dark hills", "halo around a black disc", "moon", "day turns to night",
        ),
        held_out=("annular eclipse", "umbra"),
    ),
}  # fmt: skip
