"""Scene families of smoke, marble and bubbles."""

from __future__ import annotations

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, slope, step
from tpos_live.scenes.shapes import contour, summits

ROOM = [(0.02, 0.01, 250), (0.06, 0.02, 248), (0.12, 0.03, 240), (0.2, 0.035, 235)]
COOL = [(0.03, 0.02, 235), (0.2, 0.07, 228), (0.45, 0.1, 215), (0.72, 0.09, 200), (0.94, 0.03, 195)]
EMBER = [(0.03, 0.02, 20), (0.22, 0.09, 25), (0.48, 0.14, 40), (0.74, 0.12, 62), (0.95, 0.04, 80)]
STONE = [
    (0.05, 0.02, 180),
    (0.12, 0.035, 176),
    (0.2, 0.05, 172),
    (0.32, 0.06, 168),
    (0.5, 0.05, 165),
    (0.75, 0.03, 150),
]
GOLD = [(0.24, 0.07, 60), (0.46, 0.11, 72), (0.68, 0.13, 82), (0.86, 0.1, 90), (0.97, 0.04, 95)]
FILM = [
    (0.7, 0.16, 340),
    (0.78, 0.13, 60),
    (0.86, 0.13, 110),
    (0.78, 0.13, 180),
    (0.64, 0.14, 250),
    (0.6, 0.17, 310),
    (0.7, 0.16, 340),
]
POND = [(0.04, 0.03, 285), (0.1, 0.055, 280), (0.2, 0.08, 275), (0.36, 0.1, 262), (0.56, 0.09, 235), (0.78, 0.06, 210)]


def smoke(f: Fields, k: SceneParameters) -> Light:
    """Smoke that rises and curls between a cold and a warm lamp; a thread at 0, billows at 1."""
    up = (1 - f.y) / 2
    sway = 0.22 * f.soft(2, (3.2, 6.0)) * up
    across = (f.x + 0.1 - sway) / (0.06 + 0.14 * k.intensity + (0.3 + 0.65 * k.intensity) * up)
    plume = torch.exp(-(across**2)) * step(0.0, 0.3, 1.12 - up + 0.5 * k.intensity)
    billow = f.rough(0, (4.6, 2.8), 0.5, 2)
    curl = f.rough(1, (4.0, 2.2), 0.5, 2)
    veil: torch.Tensor | float = 0.0
    # Sheets of smoke seen from the edge: bright along their folds, thin between them.
    for turns, weight, slow in ((1.0, 0.4, 1.0), (1.9, 0.35, -1.0), (3.3, 0.25, 1.0)):
        wave = torch.sin(turns * (0.9 * billow + 2.2 * across.clamp(-2, 2)) + 0.9 * curl + slow * k.phase)
        veil = veil + weight * (0.5 + 0.5 * wave) ** 3
    body = step(-1.5, 1.8, billow - 0.5 * curl + 0.9 * k.intensity - 0.3)
    dense = plume * (0.16 + 0.55 * veil) * (0.35 + 0.9 * body)
    dense = 1 - torch.exp(-(1.1 + 1.2 * k.intensity) * dense)
    side = 0.9 * across + 0.7 * slope(billow + 0.5 * curl, 4, 16)
    left, right = step(0.9, -1.1, side), step(-0.9, 1.1, side)
    power = 0.55 + 0.75 * k.intensity
    cool = k.palette.ramp(COOL, (0.1 + 0.95 * dense).clamp(0, 1)) * (0.12 + left)
    warm = k.palette.ramp(EMBER, (0.1 + 0.95 * dense).clamp(0, 1)) * (0.04 + right)
    far = torch.exp(-1.6 * ((f.x + 1.0) ** 2 + (f.y + 0.2) ** 2))
    near = torch.exp(-1.8 * ((f.x - 1.05) ** 2 + (f.y - 0.1) ** 2))
    room = k.palette.ramp(ROOM, (0.15 + 0.7 * far).clamp(0, 1)) + k.palette.flat(0.16, 0.05, 35) * near
    tip = torch.exp(-(((f.x + 0.1) / 0.035) ** 2) - ((f.y - 0.97) / 0.05) ** 2)
    light = (cool + warm) * dense * 1.7 * power
    return Light(room * (1 - 0.5 * dense) + light, 0.12 * light + k.palette.flat(0.72, 0.17, 45) * tip * 2.2 * power)


def marble(f: Fields, k: SceneParameters) -> Light:
    """Polished dark marble with veins of gold; cold stone at 0, veins aglow at 1."""
    flow = f.rough(0, (3.0, 4.2), 0.6)
    grain = f.rough(1, (2.0, 2.4), 0.6)
    cloud = f.rough(2, (3.0, 4.0), 0.55)
    rich = step(-1.1, 1.3, f.soft(3, 3.8) + 0.4 * k.intensity)
    main = flow + 0.4 * grain + 0.9 * f.x - 1.1 * f.y
    veined = step(-1.3, 0.2, f.soft(3, 3.8) + 0.3 * k.intensity - 0.5 * f.y)
    width = (0.7 + 1.8 * rich * veined) * (0.6 + 0.7 * k.intensity)
    vein = contour(main, width) * (0.3 + 0.7 * veined)
    side = grain + 0.4 * cloud + 0.8 * main
    branch = contour(side, 0.7 + 0.8 * k.intensity) * rich * torch.exp(-((main / 1.3) ** 2))
    gold = (vein * (0.55 + 0.45 * rich) + 0.6 * branch).clamp(0, 1)
    band = torch.exp(-((main / 0.75) ** 2))
    pale = contour(cloud - 0.6 * grain + 0.4, 1.1) * step(-0.2, 1.4, f.soft(0, 3.0)) * veined
    layers = torch.sin(2.2 * main + 1.3 * cloud)
    tone = 0.4 + 0.08 * cloud + 0.07 * layers + 0.1 * band * veined + 0.3 * pale
    sheen = torch.exp(-(((f.x + f.y * 0.6 + 0.35 + 0.2 * torch.sin(k.phase)) / 0.5) ** 2))
    stone = k.palette.ramp(STONE, (tone + 0.1 * sheen).clamp(0, 1)) * (0.55 + 0.45 * k.intensity + 0.6 * sheen)
    glint = (slope(flow + 0.6 * grain, -4, -4) * 1.1).clamp(-0.4, 0.6)
    metal = k.palette.ramp(GOLD, (0.1 + 0.75 * gold + 0.35 * glint * gold).clamp(0, 1))
    covered = step(0.18, 0.6, gold)
    shine = gold**3 * (0.03 + 0.15 * sheen + 0.75 * k.intensity**1.5) * (1 + glint)
    return Light(torch.lerp(stone, metal * (0.3 + 0.25 * k.intensity + 0.3 * sheen), covered), metal * shine)


def bubbles(f: Fields, k: SceneParameters) -> Light:
    """Soap bubbles drifting up through coloured light; few and faint at 0, a shining swarm at 1."""
    glow = torch.exp(-1.5 * torch.sqrt((f.x - 0.5) ** 2 + (f.y - 0.75) ** 2))
    haze = f.rough(3, (3.5, 4.0), 0.5)
    value = 0.16 + 0.6 * glow * (0.5 + 0.5 * k.intensity) + 0.05 * haze
    light = k.palette.ramp(POND, value.clamp(0, 1)) * (0.6 + 0.6 * k.intensity)
    emit: torch.Tensor = torch.zeros_like(light)
    for channel, sigma, size, keep, power in (
        (2, 1.25, 0.075, 1.7, 0.55),
        (1, 2.2, 0.16, 1.6, 0.85),
        (0, 3.6, 0.3, 1.5, 1.2),
    ):
        b = summits(f, channel, sigma)
        least = keep - 1.3 * k.intensity
        there = step(least, least + 0.45, b.height)
        big = size * (0.62 + 0.24 * b.height.clamp(0, 2.2)) * (0.75 + 0.25 * there)
        x, y = b.x / big, b.y / big
        r = torch.sqrt(x * x + y * y + 1e-5)
        ball = step(1.0, 0.95, r) * there
        rim = torch.exp(-((1 - r).clamp(min=0) / 0.13)) * ball
        veil = ball * r**3
        swirl = 0.35 * f.soft((channel + 1) % 4, 1.6) + 0.25 * f.soft(3, 2.5)
        thick = torch.remainder(0.55 * y + 0.3 * r * r + 0.22 * swirl + 0.35 * b.height + k.phase / (2 * torch.pi), 1.0)
        colour = k.palette.ramp(FILM, thick)
        shade = step(-1.3, 0.9, -y - 0.4 * x) * 0.75 + 0.4
        window = torch.exp(-(((x + 0.42) / 0.16) ** 2 + ((y + 0.48) / 0.12) ** 2)) * ball
        under = torch.exp(-(((x - 0.4) / 0.2) ** 2 + ((y - 0.52) / 0.12) ** 2)) * ball
        film = colour * (1.15 * rim + 0.42 * veil + 0.03 * ball) * shade
        white = k.palette.flat(0.96, 0.02, 240)
        light = light * (1 - 0.25 * ball * (1 - 0.5 * r))
        emit = emit * (1 - 0.65 * ball) + (film + white * (2.2 * window + 0.5 * under)) * power * (
            0.25 + 1.15 * k.intensity
        )
    return Light(light, emit)


FAMILIES = {
    "smoke": Family(
        smoke, COOL, drift=40.0,
        phrases=(
            "smoke", "rising smoke", "curling smoke", "wisps of smoke", "incense", "a thread of smoke",
            "coloured smoke", "cigarette smoke", "smoke in stage light", "billowing smoke", "vapour", "steam",
            "smoke on black", "a smoke machine", "swirls of smoke", "fumes",
        ),
        held_out=("smoky haze", "plumes of vapour"),
    ),
    "marble": Family(
        marble, STONE, drift=35.0,
        phrases=(
            "marble", "marble with gold veins", "polished stone", "a marble slab", "veins of gold", "stone",
            "green marble", "kintsugi", "agate", "a marble floor", "precious stone", "malachite",
            "marble texture", "gilded stone", "veined rock", "luxury",
        ),
        held_out=("onyx", "carrara"),
    ),
    "bubbles": Family(
        bubbles, POND, drift=60.0,
        phrases=(
            "bubbles", "soap bubbles", "floating bubbles", "iridescent bubbles", "foam bubbles", "a bubble bath",
            "champagne", "rainbow spheres", "glass balls", "soap film", "fizzy water", "bubbles rising",
            "shiny balloons", "transparent orbs", "a swarm of bubbles", "childhood",
        ),
        held_out=("bubbly", "effervescent"),
    ),
}  # fmt: skip
