"""Scene families of living things: flowers, feathers."""

from __future__ import annotations

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, step
from tpos_live.scenes.shapes import slanted, summits

LEAF = [(0.05, 0.025, 180), (0.14, 0.045, 170), (0.28, 0.075, 155), (0.46, 0.1, 142), (0.66, 0.115, 128)]
PETAL = [(0.2, 0.1, 345), (0.4, 0.16, 350), (0.58, 0.17, 355), (0.74, 0.13, 2), (0.88, 0.07, 15), (0.97, 0.025, 40)]
POLLEN = [(0.3, 0.08, 50), (0.55, 0.13, 68), (0.78, 0.14, 85), (0.94, 0.08, 98)]
PLUME = [(0.05, 0.03, 200), (0.13, 0.05, 185), (0.26, 0.08, 165), (0.42, 0.11, 148), (0.6, 0.12, 125), (0.8, 0.1, 105)]
EYE = [
    (0.1, 0.09, 278),
    (0.26, 0.16, 268),
    (0.5, 0.13, 225),
    (0.64, 0.12, 190),
    (0.5, 0.1, 75),
    (0.7, 0.13, 80),
    (0.4, 0.1, 130),
]


def flowers(f: Fields, k: SceneParameters) -> Light:
    """Blossoms in a dark garden, sharp before and blurred behind; buds at dusk at 0, full bloom in light at 1."""
    glow = torch.exp(-1.3 * torch.sqrt((f.x + 0.5) ** 2 + (f.y + 0.7) ** 2))
    leaf = f.soft(3, 2.6)
    blade = slanted(f, 2, 3.4, 0.9, 0.4) + slanted(f, 1, 3.4, 0.9, -0.5)
    power = 0.45 + 0.75 * k.intensity
    value = 0.16 + 0.05 * leaf + 0.035 * blade + 0.5 * glow * (0.6 + 0.4 * k.intensity)
    light = k.palette.ramp(LEAF, value.clamp(0, 1)) * power
    light = _leaves(f, k, light, glow, power)
    emit: torch.Tensor = torch.zeros_like(light)
    for channel, sigma, size, keep, petals, soft in (
        (3, 1.6, 0.13, 1.7, 5, 0.7),
        (1, 2.6, 0.22, 1.7, 5, 0.2),
        (0, 4.2, 0.42, 1.2, 8, 0.07),
    ):
        b = summits(f, channel, sigma)
        least = keep - 0.9 * k.intensity
        there = step(least, least + 0.6, b.height)
        big = (
            size
            * (0.7 + 0.2 * b.height.clamp(0, 2.2))
            * (0.6 + 0.4 * k.intensity + 0.1 * torch.sin(k.phase))
            * (0.5 + 0.5 * there)
        )
        r = b.radius / big
        angle = torch.atan2(b.y, b.x) + 2.5 * b.height + 0.12 * f.soft(2, 2.0) * r
        tone = 0.46 + 0.17 * f.soft((channel + 2) % 4, 4.0)
        sharp = 0.25 + soft
        for ring, (reach, turn) in enumerate(((1.0, 0.0), (0.66, torch.pi / petals))):
            wave = torch.cos(petals * (angle + turn)) * 0.5 + 0.5
            brim = reach * (0.6 + 0.4 * (wave + 1e-4) ** 0.6)
            petal = step(1.0, 1.0 - sharp * 0.4, r / brim) * there
            inside = (r / brim).clamp(0, 1)
            groove = wave**0.7
            crease = 0.06 * torch.cos(3 * petals * (angle + turn)) * (1 - soft)
            lit = -0.16 * (b.x + b.y) / big * 0.5
            shade = tone + 0.3 * inside - 0.24 * (1 - groove) + crease + lit + 0.1 * ring - 0.12
            body = k.palette.ramp(PETAL, shade.clamp(0, 1)) * power * (0.55 + 0.2 * ring + 0.5 * inside)
            if channel == 3:
                body = body * 0.6
            shadow = step(1.35, 0.8, r / brim) * there * (0.5 - 0.3 * soft)
            light = torch.lerp(light * (1 - shadow), body, petal)
            emit = emit * (1 - petal)
        heart = step(0.3, 0.2 - 0.1 * soft, r) * there
        stamen = 0.5 + 0.5 * torch.cos(9 * angle) * torch.cos(r * 42)
        dust = k.palette.ramp(POLLEN, (0.3 + 0.5 * stamen * (r / 0.3) + 0.3 * (1 - r / 0.3)).clamp(0, 1))
        light = torch.lerp(light, dust * power * 0.6, heart)
        emit = emit * (1 - heart) + dust * heart * (0.1 + 0.8 * k.intensity) * (1 - 0.6 * soft)
    mote = summits(f, 2, 0.9)
    motes = mote.disc(0.024, 0.8) * step(1.7, 2.3, mote.height) * (0.3 + glow)
    gold = k.palette.flat(0.9, 0.09, 90)
    return Light(light + gold * 0.25 * glow**2 * k.intensity, emit + gold * motes * (0.3 + 1.2 * k.intensity))


def _leaves(
    f: Fields, k: SceneParameters, light: torch.Tensor, glow: torch.Tensor, power: torch.Tensor
) -> torch.Tensor:
    """Two layers of single leaves over the light of the garden."""
    for channel, sigma, size in ((2, 1.9, 0.26), (3, 2.8, 0.4)):
        b = summits(f, channel, sigma)
        lean = 2.5 * b.height + 0.8
        u, v = b.x * torch.cos(lean) + b.y * torch.sin(lean), b.y * torch.cos(lean) - b.x * torch.sin(lean)
        half = 0.4 * size * (1 - (u / size) ** 2) * (1 + 0.4 * u / size)
        blade = step(1.0, 0.85, v.abs() / half.clamp(min=1e-3)) * step(1.0, 0.95, u.abs() / size)
        rib = torch.exp(-v.abs() / 0.012) + 0.25 * (0.5 + 0.5 * torch.cos(90 * (u - 0.8 * v.abs())))
        side = (v / size).clamp(-0.2, 0.2)
        tone = 0.5 + 0.14 * rib + 0.9 * side + 0.2 * (size - 0.3) - 0.3 * (1 - glow) + 0.12 * k.intensity
        light = torch.lerp(light, k.palette.ramp(LEAF, tone.clamp(0, 1)) * power, blade * step(0.2, 0.7, b.height))
    return light


def feathers(f: Fields, k: SceneParameters) -> Light:
    """A peacock's fan: rows of plumes with shining eyes; folded in shadow at 0, ablaze at 1."""
    x = f.x - 0.12 + 0.06 * f.soft(0, 4.0)
    y = 2.3 - f.y + 0.06 * f.soft(1, 4.0) + 0.02 * torch.sin(k.phase)
    r = torch.sqrt(x * x + y * y + 1e-4)
    along = r / 0.52
    around = torch.atan2(x, y) / 0.215
    light: torch.Tensor = k.palette.ramp(PLUME, torch.full_like(r, 0.05)) * 0.6
    emit = torch.zeros_like(light)
    shine = 0.5 + 0.5 * torch.tanh(0.7 * f.soft(2, 2.4) + 0.9 * f.soft(3, 4.5) + 1.2 * k.intensity - 0.8)
    power = 0.22 + 1.0 * k.intensity
    base = torch.floor(along)
    for ahead in (1, 0, -1):
        row = base + ahead
        b = along - row
        shift = 0.5 * torch.remainder(row, 2.0)
        a = torch.remainder(around + shift, 1.0) - 0.5
        edge = 0.56 * torch.sqrt((1 - (b.clamp(min=0) / 1.28) ** 2).clamp(min=0)) + 1e-3
        there = step(1.0, 0.86, a.abs() / edge) * step(1.28, 1.22, b)
        barb = 0.5 + 0.5 * torch.cos(2 * torch.pi * (4.0 * b - 5.0 * a.abs()) + 0.6 * f.soft(1, 2.0))
        quill = torch.exp(-((a / 0.03) ** 2)) * step(0.45, 0.2, b)
        e = torch.sqrt((a / 0.36) ** 2 + ((b - 0.62) / 0.5) ** 2 + 1e-6)
        eye = step(1.0, 0.92, e)
        notch = torch.sqrt((a / 0.17) ** 2 + ((b - 0.52) / 0.22) ** 2 + 1e-6)
        ring = (0.32 + 0.68 * e) * step(0.55, 1.05, notch) + 0.14 * notch.clamp(max=1) * (1 - step(0.55, 1.05, notch))
        shade = (
            0.14
            + 0.3 * barb * (0.4 + 0.6 * shine)
            + 0.16 * shine
            + 0.3 * quill
            - 0.14 * a.abs() / edge
            + 0.1 * b.clamp(0, 1)
        )
        plume = k.palette.ramp(PLUME, shade.clamp(0, 1)) * power * (0.5 + 0.8 * shine)
        iris = k.palette.ramp(EYE, ring.clamp(0, 1)) * (0.86 + 0.14 * barb)
        body = torch.lerp(plume, iris * power * (0.55 + 0.75 * shine), eye)
        shadow = step(1.5, 0.95, a.abs() / edge) * step(1.45, 1.2, b) * 0.55
        light = torch.lerp(light * (1 - shadow), body, there)
        sheen = iris * eye * (shine**2) * (0.1 + 1.3 * k.intensity)
        emit = emit * (1 - there) + there * sheen
    far = torch.sqrt((0.9 * f.x - 0.32) ** 2 + (f.y + 0.18) ** 2) - 0.1 * f.soft(2, 4.5)
    dark = 1 - 0.99 * step(0.32, 1.0 + 0.2 * k.intensity, far)
    return Light(light * dark, emit * dark)


FAMILIES = {
    "flowers": Family(
        flowers, PETAL, drift=60.0,
        phrases=(
            "flowers", "blossoms", "petals", "roses", "a flower garden", "a bouquet", "cherry blossom", "in bloom",
            "spring flowers", "a meadow in bloom", "wild flowers", "dahlias", "lotus", "a field of poppies",
            "pink blossoms", "floral",
        ),
        held_out=("daisies", "tulips"),
    ),
    "feathers": Family(
        feathers, PLUME, drift=50.0,
        phrases=(
            "feathers", "peacock", "peacock feathers", "plumage", "plumes", "a peacock's tail", "a bird's wing",
            "iridescent feathers", "a fan of feathers", "bird of paradise", "wings", "soft plumes",
            "feather pattern", "a thousand eyes", "exotic bird", "phoenix",
        ),
        held_out=("peafowl", "quill"),
    ),
}  # fmt: skip
