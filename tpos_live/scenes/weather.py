"""Scene families of weather: rain, snow, fog."""

from __future__ import annotations

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, slope, step
from tpos_live.scenes.shapes import ridge, slanted, summits

STREET = [(0.03, 0.015, 235), (0.1, 0.035, 232), (0.2, 0.05, 225), (0.36, 0.06, 215), (0.6, 0.05, 205)]
BOKEH = [(0.6, 0.15, 40), (0.75, 0.14, 70), (0.8, 0.1, 95), (0.68, 0.11, 190), (0.6, 0.13, 220)]
WINTER = [
    (0.1, 0.04, 268),
    (0.2, 0.06, 265),
    (0.36, 0.07, 258),
    (0.56, 0.06, 248),
    (0.78, 0.035, 240),
    (0.95, 0.012, 230),
]
MIST = [(0.14, 0.04, 235), (0.28, 0.05, 232), (0.46, 0.05, 228), (0.64, 0.035, 230), (0.8, 0.05, 55), (0.93, 0.055, 78)]


def rain(f: Fields, k: SceneParameters) -> Light:
    """A wet street at night: lamps out of focus, slanted rain, rings in puddles; a drizzle at 0, a downpour at 1."""
    shore = 0.34
    ground = step(-0.06, 0.16, f.y - shore)
    deep = (f.y - shore).clamp(min=0)
    lamp = torch.exp(-2.2 * torch.sqrt((f.x - 0.42) ** 2 + (f.y + 0.38) ** 2))
    haze = f.rough(2, (3.0, 4.0), 0.55)
    value = 0.26 + 0.4 * lamp + 0.03 * haze + 0.3 * torch.exp(-2.5 * (f.y - shore).abs())
    base = k.palette.ramp(STREET, value.clamp(0, 1))
    for layer, (channel, level) in enumerate(((2, -0.02), (0, 0.14))):
        house = step(-0.02, 0.03, f.y - level + (0.36 - 0.1 * layer) * f.columns(channel, 3 + layer)) * (1 - ground)
        tone = 0.24 - 0.12 * layer + 0.24 * lamp + 0.12 * torch.exp(-4 * (f.y - shore).abs()) + 0.02 * haze
        base = torch.lerp(base, k.palette.ramp(STREET, tone.clamp(0, 1)), 0.9 * house)
    far = summits(f, 0, 1.9)
    hue = k.palette.ramp(BOKEH, (0.4 + 0.3 * f.soft(3, 3.0)).clamp(0, 1))
    band = torch.exp(-(((f.y - shore + 0.34) / 0.34) ** 2))
    size = 0.1 + 0.03 * far.height
    lights = far.disc(size, 0.3) * (0.55 + 0.45 * step(0.5, 1.0, far.radius / size)) * step(0.9, 1.8, far.height) * band
    mirror = torch.exp(0.8 * f.soft(0, (4.5, 0.8)) + 0.3 * f.soft(1, (0.6, 1.6))) * torch.exp(-2.4 * deep)
    wet = hue * mirror * 0.2 * (0.3 + 0.7 * step(0.0, 0.2, deep)) + k.palette.flat(0.9, 0.07, 75) * torch.exp(
        -(((f.x - 0.42) / 0.13) ** 2) - 1.5 * deep
    ) * (0.3 + 0.2 * mirror.clamp(max=2))
    drop = summits(f, 1, 1.3)
    flat = torch.sqrt(drop.x**2 + (2.2 * drop.y) ** 2 + 1e-8)
    ring = (0.5 + 0.5 * torch.cos(flat * 75 - k.phase)) * step(0.16, 0.03, flat)
    ring = ring * step(1.9 - 1.6 * k.intensity, 2.4 - 1.6 * k.intensity, drop.height) * (0.3 + deep)
    fall = slanted(f, 3, 4.0, 0.55, 0.17)
    near = slanted(f, 2, 6.5, 0.75, 0.17)
    less = 1.5 - 1.3 * k.intensity
    streak = 0.8 * ridge(fall, 0.9) * step(less, less + 1.2, fall) + ridge(near, 1.5) * step(
        less + 0.3, less + 1.5, near
    )
    shine = (0.22 + 0.9 * lamp + 0.25 * lights) * streak * (1 - 0.75 * ground) * (0.6 + 0.8 * k.intensity)
    power = 0.5 + 0.9 * k.intensity
    cool, warm = k.palette.flat(0.85, 0.03, 220), k.palette.flat(0.92, 0.08, 75)
    bulb = step(0.1, 0.06, torch.sqrt((f.x - 0.42) ** 2 + (f.y + 0.38) ** 2))
    emit = hue * lights * power * 1.5 + warm * bulb * 3.2 * power + ground * wet * power
    emit = emit + ground * ring * cool * 0.8 * (0.4 + mirror.clamp(max=2.0)) * 0.6
    splash = cool * 0.16 * k.intensity * torch.exp(-9 * (f.y - shore).abs()) * (1 + 0.3 * haze)
    return Light(base * (0.8 + 0.5 * k.intensity) + splash + shine * cool, emit)


def snow(f: Fields, k: SceneParameters) -> Light:
    """Snow falling on a cabin with a lit window; single flakes at 0, a blizzard at 1."""
    up = (1 - f.y) / 2
    haze = f.rough(2, (3.0, 4.5), 0.5)
    warm = k.palette.flat(0.86, 0.11, 68)
    at_x, at_y = -0.42, 0.34
    x, y = f.x - at_x, f.y - at_y
    lamp = torch.exp(-2.8 * torch.sqrt(x**2 + (1.5 * y) ** 2))
    white = k.palette.flat(0.95, 0.012, 240)
    value = 0.52 - 0.4 * up + 0.015 * haze + 0.1 * k.intensity
    light = k.palette.ramp(WINTER, value.clamp(0, 1)) * 0.85
    for layer, channel in ((0, 0), (1, 1)):
        tips = torch.exp(-1.2 * f.soft(channel, (9.0, 0.6 + 0.3 * layer)).abs())
        wood = f.y - 0.26 - 0.17 * layer + (0.2 + 0.12 * layer) * tips + 0.07 * f.soft(1 - channel, (9.0, 4.0))
        body = k.palette.ramp(
            WINTER, (0.32 - 0.2 * layer + 0.3 * wood.clamp(min=0) + 0.12 * lamp + 0.1 * k.intensity).clamp(0, 1)
        )
        light = torch.lerp(light, body * 0.8, step(-0.015, 0.03, wood))
    hill_y = f.y - 0.5 - 0.07 * f.soft(3, (9.0, 4.5)) + 0.08 * f.x
    drift = f.rough(3, (1.5, 4.0), 0.5)
    relief = slope(drift, 9, 9)
    shade = 0.7 + 0.1 * relief + 0.02 * drift - 0.34 * hill_y.clamp(min=0)
    pool = torch.exp(-((x / 0.3) ** 2) - ((y - 0.3) / 0.2) ** 2)
    ground = k.palette.ramp(WINTER, shade.clamp(0, 1)) * (0.8 + 0.25 * k.intensity) + warm * (
        0.35 * lamp + 0.5 * pool
    ) * (1 + relief)
    wall = step(0.165, 0.155, x.abs()) * step(-0.075, -0.065, y) * step(0.2, 0.19, y)
    gable = y + 0.24 - 0.85 * x.abs()
    roof = step(-0.008, 0.008, gable) * step(0.235, 0.225, x.abs()) * step(0.145, 0.135, gable)
    inner = step(0.135, 0.145, gable) * step(0.165, 0.155, x.abs()) * step(0.02, 0.0, y)
    cabin = torch.maximum(wall, inner)
    light = torch.lerp(light, k.palette.flat(0.16, 0.04, 45) * (0.6 + 1.6 * lamp), cabin)
    light = torch.lerp(light, k.palette.ramp(WINTER, (0.72 + 0.6 * x).clamp(0, 1)) * 0.8, roof)
    light = torch.lerp(light, ground, step(-0.015, 0.03, hill_y))
    pane = step(0.062, 0.05, (x + 0.03).abs()) * step(0.062, 0.05, (y - 0.05).abs())
    storm = k.palette.ramp(WINTER, 0.5 + 0.14 * f.y + 0.03 * haze)
    light = torch.lerp(light, storm, (0.72 * k.intensity**1.5 * (0.85 + 0.1 * haze)).clamp(0, 0.9))
    flakes: torch.Tensor | float = 0.0
    for channel, sigma, size, strength, keep in (
        (0, 0.8, 0.022, 0.8, 2.1),
        (2, 1.15, 0.038, 1.1, 2.2),
        (1, 2.1, 0.1, 0.3, 2.0),
    ):
        flake = summits(f, channel, sigma)
        least = keep - 1.7 * k.intensity
        flakes = flakes + strength * flake.disc(size * (0.8 + 0.12 * flake.height), 0.7) * step(
            least, least + 0.6, flake.height
        )
    glow = warm * (0.3 * lamp + 3.0 * pane) * (0.7 + 0.3 * k.intensity)
    return Light(light, white * flakes * (0.5 + 0.45 * k.intensity) + warm * flakes * lamp + glow)


def fog(f: Fields, k: SceneParameters) -> Light:
    """Hills with firs that stand out of fog, a pale sun behind; thin veils at 0, a sea of lit fog at 1."""
    sun_x, sun_y = -0.35, -0.42
    far = torch.sqrt((f.x - sun_x) ** 2 + (f.y - sun_y) ** 2)
    glow = torch.exp(-1.5 * far)
    bank = f.rough(3, (1.8, 5.0), 0.55)
    value = 0.42 + 0.36 * glow + 0.16 * k.intensity + 0.04 * bank
    light = k.palette.ramp(MIST, value.clamp(0, 1)) * (0.4 + 0.8 * k.intensity)
    disc = step(0.15, 0.11, far) + 0.12 * torch.exp(-3.2 * far)
    cover: torch.Tensor | float = 1.0
    for layer in range(4):
        level = -0.08 + 0.26 * layer
        hill = (0.1 + 0.03 * layer) * f.soft(layer % 3, (9.0, 5.0))
        firs = (0.12 + 0.05 * layer) * torch.exp(-1.7 * f.soft((layer + 1) % 3, (9.0, 0.65 + 0.2 * layer)).abs()) - 0.06
        body_y = f.y - level + hill
        crest = body_y + firs
        land = step(-0.01, 0.025, crest)
        drift = f.rough((layer + 2) % 4, (1.4, 5.0), 0.55)
        thick = (
            body_y * (3.4 - 0.5 * layer) - 0.05 + (0.25 + 0.2 * k.intensity) * drift + 1.1 * k.intensity - 0.35
        ).clamp(0, 1)
        dark = k.palette.ramp(MIST, (0.42 - 0.13 * layer + 0.1 * glow).clamp(0, 1))
        veil = k.palette.ramp(MIST, (0.46 + 0.34 * glow + 0.14 * k.intensity - 0.05 * layer + 0.05 * drift).clamp(0, 1))
        body = torch.lerp(dark * (0.5 + 0.3 * k.intensity), veil * (0.38 + 0.82 * k.intensity), thick)
        light = torch.lerp(light, body, land)
        cover = cover * (1 - land)
    assert isinstance(cover, torch.Tensor)
    pale = k.palette.flat(0.95, 0.05, 88)
    return Light(light, pale * cover * disc * (0.45 + 2.0 * k.intensity))


FAMILIES = {
    "rain": Family(
        rain, STREET, drift=25.0,
        phrases=(
            "rain", "heavy rain", "pouring rain", "falling rain", "a rainy street at night", "drizzle", "raindrops",
            "rain on the pavement", "puddles and rain", "a downpour at night", "monsoon", "a wet night",
            "shower of rain", "street lamps in the rain", "rainy day", "ripples in a puddle",
        ),
        held_out=("cloudburst", "rainfall"),
    ),
    "snow": Family(
        snow, WINTER, drift=18.0,
        phrases=(
            "snow", "falling snow", "snowflakes", "a snowstorm", "a blizzard", "winter", "a snowy hill at dusk",
            "snowfall at night", "a white winter landscape", "christmas night", "snow drifting", "frost",
            "a cabin light in the snow", "winter wonderland", "flurries of snow", "ice and snow",
        ),
        held_out=("snowy evening", "sleet"),
    ),
    "fog": Family(
        fog, MIST, drift=30.0,
        phrases=(
            "fog", "mist", "thick fog", "a foggy valley", "morning mist", "fog over the hills", "haze",
            "misty firs", "a pale sun in the fog", "rolling fog", "veils of mist", "hills lost in fog",
            "a grey morning", "ghostly mist", "fog bank", "silence and mist",
        ),
        held_out=("foggy dawn", "murky haze"),
    ),
}  # fmt: skip
