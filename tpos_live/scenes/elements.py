"""Scene families of flowing matter: fire, ocean, underwater, ink in water."""

from __future__ import annotations

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, peaks, slope, step

FIRE = [
    (0.0, 0.0, 20),
    (0.16, 0.07, 20),
    (0.36, 0.15, 28),
    (0.56, 0.19, 42),
    (0.74, 0.17, 62),
    (0.9, 0.11, 88),
    (0.99, 0.03, 100),
]
SEA = [(0.05, 0.02, 240), (0.16, 0.05, 235), (0.32, 0.08, 225), (0.55, 0.09, 205), (0.8, 0.05, 195), (0.97, 0.015, 190)]
DUSK = [(0.12, 0.05, 270), (0.26, 0.08, 280), (0.45, 0.1, 330), (0.66, 0.13, 45), (0.88, 0.1, 80)]
DEEP = [
    (0.015, 0.012, 255),
    (0.07, 0.035, 250),
    (0.18, 0.07, 235),
    (0.36, 0.09, 215),
    (0.64, 0.09, 195),
    (0.9, 0.05, 185),
]
BELL = [(0.1, 0.06, 300), (0.3, 0.14, 310), (0.55, 0.19, 335), (0.75, 0.14, 0), (0.95, 0.05, 30)]
PAPER = [
    (0.95, 0.012, 85),
    (0.86, 0.03, 230),
    (0.66, 0.1, 250),
    (0.44, 0.14, 275),
    (0.24, 0.11, 300),
    (0.12, 0.05, 310),
]


def fire(f: Fields, k: SceneParameters) -> Light:
    """Tongues of flame from below, a candle at 0 and an inferno at 1; sparks above."""
    height = (1 - f.y) / 2
    reach = 0.22 + 0.75 * k.intensity
    aside = (f.x - 0.35 * k.centre_x).abs() * (1.15 - 1.05 * k.intensity)
    tongue = f.rough(0, (4.2, 1.8), 0.6)
    lick = f.soft(1, (1.5, 0.75))
    energy = (reach - height - 0.9 * aside**1.5) * 3.1 + (0.35 + 0.75 * height) * tongue + 0.22 * lick
    heat = torch.sigmoid(1.6 * energy - 0.5)
    veins = 0.62 + 0.5 * line(lick + 0.5 * tongue, 0.5)
    value = (heat * veins).clamp(0, 1)
    flame = k.palette.ramp(FIRE, value) * (0.55 + 1.7 * value**3)
    sparks = peaks(f.soft(3, (0.9, 0.7)), 2.2) * step(-0.5, 0.4, energy + 0.8 + 0.9 * k.intensity) * (1 - heat)
    smoke = (
        k.palette.flat(0.2, 0.04, 25)
        * step(-0.5, 1.6, f.rough(2, (3.0, 3.0)))
        * (1 - heat)
        * (0.25 + 0.5 * k.intensity)
    )
    return Light(smoke, flame + sparks * k.palette.flat(0.85, 0.13, 65) * 5)


def ocean(f: Fields, k: SceneParameters) -> Light:
    """Open sea under a low sun: ripples at 0, breaking waves at 1."""
    horizon = -0.12 + 0.28 * k.centre_y
    below = (f.y - horizon).clamp(min=0)
    water = step(0.0, 0.02, f.y - horizon)
    sun_x = 0.55 * k.centre_x
    size = 0.3 + 0.7 * k.intensity
    swell = torch.lerp(f.rough(0, (0.7, 3.0), 0.6), f.rough(0, (1.5, 3.6), 0.55), step(0.05, 0.6, below))
    chop = f.soft(1, (0.5, 1.1))
    depth = 1 / (below + 0.22)
    wave = torch.sin(7.0 * depth + k.phase + (0.7 + 1.2 * k.intensity) * swell)
    face = 0.36 + size * (0.2 * wave + 0.13 * swell + 0.1 * chop) - 0.14 * below
    crest = step(1.9 - 1.3 * k.intensity, 3.0 - 1.3 * k.intensity, swell + 0.9 * wave + 0.5 * chop)
    lace = 0.25 + 0.75 * line(f.soft(3, (0.55, 0.9)) + 0.4 * chop, 0.5)
    foam = crest * lace * step(0.0, 0.2, below)
    haze = torch.exp(-6 * below)
    path = torch.exp(-(((f.x - sun_x) / (0.07 + 0.42 * below)) ** 2))
    glitter = path * step(0.25, 1.3, 0.6 * wave + 0.7 * chop + 0.3 * swell + haze) * (0.5 + haze)
    up = (horizon - f.y).clamp(min=0)
    clouds = step(0.1, 1.7, f.rough(2, (1.5, 4.0))) * step(0.0, 0.15, up)
    sky = k.palette.ramp(DUSK, (0.86 - 0.72 * up + 0.12 * clouds - 0.12 * (f.x - sun_x).abs()).clamp(0, 1))
    round_sun = torch.sqrt((f.x - sun_x) ** 2 + (f.y - horizon + 0.16) ** 2)
    sun = step(0.1, 0.075, round_sun) * (1 - water) + 0.35 * torch.exp(-3.5 * round_sun)
    warm = k.palette.flat(0.9, 0.1, 75)
    sea = k.palette.ramp(SEA, face.clamp(0, 1)) * 1.2
    sea = torch.lerp(sea, k.palette.ramp(DUSK, torch.full_like(face, 0.7)) * 0.75, 0.75 * haze)
    base = torch.lerp(sky * (0.75 + 0.3 * clouds), sea, water) + water * foam * k.palette.flat(0.9, 0.02, 200) * 0.8
    return Light(base, warm * (sun * 2.6 + water * glitter * 2.0))


def underwater(f: Fields, k: SceneParameters) -> Light:
    """The deep with a glowing jellyfish, shafts of light from above and drifting plankton."""
    rays = torch.exp(0.8 * f.soft(0, (9.0, 1.3))) * step(1.2, -1.1, f.y)
    murk = f.rough(1, (3.5, 3.5))
    value = 0.5 - 0.36 * (f.y + 1) / 2 * 1.25 + 0.07 * murk + 0.1 * (rays - 1) * step(0.9, -1.0, f.y)
    water = k.palette.ramp(DEEP, value.clamp(0, 1)) * (0.55 + 0.35 * rays)
    pulse = torch.sin(k.phase)
    wide = 0.34 + 0.045 * pulse + 0.06 * k.intensity
    tall = 0.3 - 0.04 * pulse
    x = f.x - 0.45 * k.centre_x - 0.03 * f.soft(2, 3.0)
    y = f.y + 0.18 - 0.28 * k.centre_y
    ring = torch.sqrt((x / wide) ** 2 + (y / tall) ** 2)
    dome = step(1.0, 0.93, ring) * step(0.1, 0.0, y - 0.05 * torch.cos(9 * x / wide))
    rim = dome * torch.exp(-((1 - ring) / 0.16))
    ribs = dome * (0.5 + 0.5 * torch.cos(14 * x / wide * (1.2 - 0.5 * y / tall))) ** 2
    heart = dome * torch.exp(-(((x / wide) ** 2 + ((y + 0.08) / tall) ** 2) * 7))
    drop = y.clamp(min=0)
    sway = 0.09 * f.soft(3, (2.5, 2.5)) * (drop * 2).clamp(0, 1) + 0.07 * torch.sin(5 * drop - k.phase) * drop
    strand = 0.5 + 0.5 * torch.cos(5 * torch.pi * (x + sway) / (wide * (1 - 0.25 * drop)))
    inside = step(1.0, 0.8, (x + sway).abs() / (wide * (1 - 0.2 * drop)))
    tentacles = strand**5 * inside * step(-0.02, 0.06, y) * torch.exp(-drop * (2.6 - 1.4 * k.intensity))
    glow = 0.25 * dome + 0.95 * rim + 0.4 * ribs + 0.8 * heart + 0.75 * tentacles
    jelly = k.palette.ramp(BELL, (0.25 + 0.55 * glow).clamp(0, 1)) * glow * (0.5 + 2.6 * k.intensity)
    plankton = 0.6 * peaks(f.soft(3, 0.75), 2.65) * (0.4 + 1.6 * k.intensity) * k.palette.flat(0.85, 0.09, 190)
    return Light(water * (1 - 0.6 * dome), jelly + plankton)


def ink_in_water(f: Fields, k: SceneParameters) -> Light:
    """Clouds of ink unfolding in clear water on a pale ground."""
    body = f.rough(0, (3.4, 3.4), 0.6)
    fold = f.rough(1, (2.2, 2.2), 0.55)
    away = ((f.x - 0.4 * k.centre_x) ** 2 + (f.y - 0.3 * k.centre_y) ** 2) * 0.55
    dense = 0.9 * body + 0.35 * fold - 0.75 + 2.0 * k.intensity - away
    cloud = step(-0.7, 1.5, dense)
    silk = line(torch.sin(2.2 * fold + 1.6 * body + k.phase), 0.35)
    amount = cloud * (0.55 + 0.4 * silk) + 0.12 * step(-0.25, 0.1, dense) * silk
    relief = slope(body + 0.5 * fold, -6, -4) * 0.35 * cloud
    second = k.palette.ramp([(s[0], s[1], s[2] + 95) for s in PAPER], amount.clamp(0, 1))
    light = torch.lerp(k.palette.ramp(PAPER, amount.clamp(0, 1)), second, step(-0.6, 0.9, f.soft(2, 3.2)))
    shade = 1.0 - 0.16 * (f.x**2 + f.y**2) / 2
    glint = (relief.clamp(min=0) * 1.2).clamp(0, 1)
    return Light(light * shade * (1.7 + relief), glint * light * 0.6)


FAMILIES = {
    "fire": Family(
        fire, FIRE, drift=14.0,
        phrases=(
            "fire", "flames", "burning fire", "a campfire", "bonfire", "blazing flames", "embers and sparks",
            "an inferno", "a wall of fire", "hot flames rising", "burning", "wildfire", "torch flame",
            "candle flame", "fireplace", "a dragon's breath",
        ),
        held_out=("blaze", "combustion"),
    ),
    "ocean": Family(
        ocean, SEA, drift=22.0,
        phrases=(
            "ocean", "the sea", "ocean waves", "sea at sunset", "breaking waves", "open water", "a stormy sea",
            "surf on a beach", "sun over the sea", "rolling waves", "the coast", "tides", "sailing at dusk",
            "seascape", "a lake at sunset", "beach",
        ),
        held_out=("marine horizon", "pacific"),
    ),
    "underwater": Family(
        underwater, DEEP, drift=35.0,
        phrases=(
            "jellyfish", "underwater", "a glowing jellyfish", "deep sea", "a jellyfish in the deep",
            "bioluminescent creatures", "medusa in dark water", "beneath the surface of the sea", "abyss",
            "a coral reef", "under the sea", "aquarium", "diving in the deep", "sea creature", "plankton glowing",
            "octopus",
        ),
        held_out=("submarine world", "squid"),
    ),
    "ink_in_water": Family(
        ink_in_water, PAPER, drift=45.0,
        phrases=(
            "ink in water", "swirling ink", "clouds of ink", "marbled paint", "liquid paint",
            "dye unfolding in water", "fluid colours", "drops of ink", "acrylic pour", "flowing paint",
            "abstract liquid", "tie dye", "ink blots", "coloured fluid", "paint in water", "silk",
        ),
        held_out=("watery pigment", "fluid art"),
    ),
}  # fmt: skip
