"""Scene families of matter in close view: plasma, crystal, liquid metal, cells."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, slope, step
from tpos_live.scenes.shapes import summits

ARC = [(0.02, 0.015, 285), (0.14, 0.09, 288), (0.34, 0.19, 300), (0.55, 0.22, 325), (0.76, 0.14, 350), (0.97, 0.03, 20)]
COLD = [(0.3, 0.14, 265), (0.55, 0.14, 240), (0.8, 0.1, 210), (0.97, 0.03, 200)]
AMETHYST = [
    (0.04, 0.03, 290),
    (0.14, 0.09, 292),
    (0.3, 0.15, 298),
    (0.48, 0.17, 305),
    (0.68, 0.13, 312),
    (0.86, 0.07, 325),
    (0.97, 0.02, 340),
]
CHROME = [
    (0.02, 0.015, 272),
    (0.1, 0.04, 268),
    (0.22, 0.075, 262),
    (0.42, 0.085, 252),
    (0.68, 0.05, 240),
    (0.92, 0.015, 230),
]
SHEEN = [(0.03, 0.02, 275), (0.15, 0.06, 285), (0.36, 0.1, 320), (0.6, 0.12, 5), (0.8, 0.09, 45), (0.95, 0.03, 75)]
DYE = [(0.02, 0.015, 255), (0.1, 0.05, 245), (0.24, 0.09, 200), (0.45, 0.14, 165), (0.7, 0.17, 150), (0.93, 0.08, 130)]
NUCLEUS = [(0.2, 0.12, 290), (0.42, 0.2, 300), (0.6, 0.22, 335), (0.8, 0.14, 350), (0.95, 0.04, 350)]


def plasma(f: Fields, k: SceneParameters) -> Light:
    """A globe of thin gas with threads of discharge from its electrode; one at 0, a storm of them at 1."""
    x, y = f.x + 0.1 - 0.4 * k.centre_x, f.y - 0.04 - 0.3 * k.centre_y
    r = torch.sqrt(x * x + y * y + 1e-4)
    angle = torch.atan2(y, x)
    gas = f.rough(0, (3.0, 3.0), 0.6)
    kink = 0.24 * f.soft(1, 2.4) + 0.07 * f.soft(2, 1.1)
    globe = step(0.97, 0.9, r)
    reach = 0.4 + 0.5 * k.intensity
    threads: torch.Tensor | float = 0.0
    feet: torch.Tensor | float = 0.0
    for count, sway, width, power in ((5, 1.0, 0.014, 1.0), (8, -1.0, 0.009, 0.55)):
        bend = kink * (0.35 + r) * sway + 0.13 * torch.sin(k.phase) * r
        place = (angle + bend + 0.5 * sway) * (count / math.tau)
        nearest = torch.round(place)
        apart = (place - nearest) * (math.tau / count) * r
        fork = 0.5 + 0.5 * torch.cos(
            nearest * math.tau * round(0.4 * count) / count + 0.6 * sway + 0.5 * torch.sin(k.phase)
        )
        alive = torch.sigmoid(6 * (reach + 0.35 * fork + 0.25 * f.soft(3, 2.6) - 0.68 - 0.35 * r * (1.3 - k.intensity)))
        threads = threads + power * alive * line(apart, width * (0.6 + 0.8 * k.intensity + 0.4 * r))
        feet = feet + power * alive * torch.exp(-((apart / 0.1) ** 2 + ((r - 0.92) / 0.06) ** 2))
    assert isinstance(threads, torch.Tensor)
    veil = torch.exp(-((gas / 0.8) ** 2)) * 0.4
    inner = torch.exp(-1.7 * r)
    value = 0.13 + (0.12 + 0.25 * k.intensity) * (veil * (0.3 + inner) + 0.6 * inner) + 0.05 * gas * inner
    rim = torch.exp(-(((r - 0.93) / 0.05) ** 2))
    body = k.palette.ramp(ARC, value.clamp(0, 0.8)) * (0.35 + 0.6 * globe * (0.4 + inner))
    room = k.palette.ramp(ARC, (0.12 + 0.1 * torch.exp(-3 * (r - 0.93).clamp(min=0)) + 0.02 * gas).clamp(0, 1)) * 0.5
    tone = (0.45 + 0.45 * threads.clamp(max=1) * inner + 0.1 * r).clamp(0, 1)
    cool = step(0.25, 0.85, r + 0.12 * f.soft(3, 3.0))
    hot = torch.lerp(k.palette.ramp(ARC, tone), k.palette.ramp(COLD, tone), cool) * threads.clamp(max=1.6)
    ball = step(0.13, 0.1, r)
    corona = torch.exp(-((r / (0.1 + 0.05 * k.intensity)) ** 1.4))
    core = k.palette.flat(0.93, 0.06, 335) * corona * (0.25 + 1.5 * k.intensity)
    core = core * (1 - 0.75 * ball) + ball * k.palette.ramp(ARC, (0.5 - 1.6 * (y + 0.5 * x)).clamp(0, 1)) * (
        0.3 + 0.5 * k.intensity
    )
    emit = (hot * (0.5 + 1.3 * k.intensity) + feet * k.palette.flat(0.8, 0.14, 350) * 0.6) * globe * (1 - ball)
    glass = rim * k.palette.flat(0.7, 0.12, 300) * (0.1 + 0.2 * k.intensity)
    return Light(torch.lerp(room, body, globe), emit + core + glass)


_CLUSTER = (
    (-0.9, -0.5, 0.8, 0.12, -0.3),
    (1.05, 0.55, 0.85, 0.12, -0.3),
    (-0.1, -0.2, 1.55, 0.13, -0.25),
    (0.32, 0.3, 1.4, 0.14, -0.2),
    (-0.35, -0.55, 1.3, 0.13, -0.15),
    (0.5, 0.72, 1.15, 0.12, -0.1),
    (0.08, 0.06, 1.62, 0.19, 0.0),
    (-0.25, -0.33, 1.12, 0.16, 0.08),
    (0.3, 0.42, 0.98, 0.16, 0.1),
    (-0.5, -0.85, 0.82, 0.13, 0.12),
    (0.02, -0.08, 0.72, 0.15, 0.22),
    (0.55, 0.95, 0.7, 0.13, 0.18),
)
"""The crystals, from back to front: foot (x, y), lean in radians, length, half width, tone."""


def crystal(f: Fields, k: SceneParameters) -> Light:
    """A cluster of six-sided crystals in a cave, lit from its root; small and dim at 0, tall and ablaze at 1."""
    root_x, root_y = -0.12 + 0.4 * k.centre_x, 0.95 + 0.3 * k.centre_y
    x, y = f.x - root_x, f.y - root_y
    away = torch.sqrt(x * x + y * y)
    mist = f.rough(3, (2.8, 3.6), 0.58)
    beat = 0.88 + 0.12 * torch.cos(k.phase)
    aura = torch.exp(-1.15 * away) * (0.1 + 0.95 * k.intensity)
    light = k.palette.ramp(AMETHYST, (0.13 + 0.3 * aura * (1 + 0.35 * mist) + 0.02 * mist).clamp(0, 1)) * 0.7
    emit = torch.zeros_like(light)
    cover = emit[:, :1]
    for index, (foot, lean, length, half, tone) in enumerate(_CLUSTER):
        sine, cosine = math.sin(lean), math.cos(lean)
        tip_x = root_x + foot + sine * length
        tip_y = root_y - cosine * length
        grow = 0.72 + 0.36 * k.intensity + 0.1 * f.at(index % 3, 2.5, tip_x, tip_y)
        along = ((x - foot) * sine - y * cosine) / grow
        across = ((x - foot) * cosine + y * sine + 0.012 * f.soft(1, 3.0)) / (half * (0.85 + 0.15 * grow))
        ridge = 0.3 * (1 if index % 2 else -1) + 0.12 * f.at((index + 1) % 3, 2.5, tip_x, tip_y)
        top = length - 1.5 * half * (across - ridge).abs()
        inside = torch.minimum((1 - across.abs()) * half, (top - along) * 0.6)
        body = step(-0.004, 0.006, inside)
        # Two long faces meet at the ridge; the point above the shoulder has faces of its own.
        shoulder = along - (length - 2.1 * half) - 0.5 * half * (across - ridge)
        right = step(-0.05, 0.05, across - ridge)
        point = step(-0.01, 0.01, shoulder)
        face = torch.lerp(0.62 - 0.3 * across.abs(), 0.24 + 0.12 * across, right)
        face = torch.lerp(face, 0.86 - 0.62 * right, point)
        cloud = 0.5 + 0.5 * f.soft(2, (1.8, 1.2))
        root = torch.exp(-(1.9 - 0.9 * k.intensity) * along.clamp(min=0)) * (0.08 + 0.95 * k.intensity) * beat
        value = 0.06 + 0.38 * face + 0.42 * root + 0.12 * tone + 0.07 * cloud * (1 - point)
        stone = k.palette.ramp(AMETHYST, value.clamp(0, 0.94)) * (
            (0.12 + 0.5 * face) * (0.5 + 0.65 * k.intensity) + (0.3 * face + 0.8) * root
        )
        light = torch.lerp(light * (1 - 0.35 * step(-0.1, 0.0, inside) * (1 - body)), stone, body)
        edge = line(inside, 0.007) + 0.7 * line((across - ridge) * half, 0.007) * (along > 0)
        edge = edge + 0.6 * line(shoulder, 0.008)
        shine = (
            torch.exp(-(((across - ridge + 0.45) / 0.12) ** 2))
            * (1 - right)
            * step(0.35, 0.8, f.soft(0, (3.0, 1.5)) + 0.6)
        )
        spark = torch.exp(-(((across - ridge) * half) ** 2 + ((along - length) * grow) ** 2) / 0.0012)
        own = (edge * (0.06 + 0.3 * root + 0.32 * k.intensity) + 0.3 * shine * (0.3 + k.intensity)) * body
        own = own + spark * (0.1 + 0.8 * k.intensity) * min(1.0, max(0.0, 5 * tone + 1.25))
        cover = torch.maximum(cover, body)
        emit = emit * (1 - body) + own * k.palette.flat(0.9, 0.07, 315)
    warm = torch.exp(-((x / 0.75) ** 2 + (y / 0.4) ** 2) * 1.6) * (0.1 + 0.9 * k.intensity) * beat
    mote = summits(f, 3, 0.9)
    dust = mote.disc(0.026, 0.9) * step(1.0, 2.4, mote.height) * (0.15 + 1.3 * aura) * (1 - 0.7 * cover)
    return Light(light, emit + warm * k.palette.flat(0.78, 0.14, 50) * 0.6 + dust * k.palette.flat(0.9, 0.06, 320))


def liquid_metal(f: Fields, k: SceneParameters) -> Light:
    """Mercury on black glass between a cold sky and a rosy floor: droplets at 0, a heaving flood at 1."""
    x, y = f.x - 0.4 * k.centre_x, f.y - 0.4 * k.centre_y
    r = torch.sqrt(x * x + y * y + 1e-4)
    swell = 0.85 * f.soft(0, 3.4) + 0.3 * f.soft(1, 2.4)
    rings = torch.cos(6 * r - k.phase) * torch.exp(-1.2 * r)
    level = 0.8 * swell + 0.25 * rings + 2.1 * k.intensity - 0.5 - 0.3 * r
    metal = step(-0.04, 0.04, level)
    # A drop is round at its rim and flat on top; the flood keeps its waves.
    wave = (
        torch.sqrt((level.clamp(min=0) + 0.03) / (1 + 0.35 * level.clamp(min=0)))
        + 0.1 * swell
        + 0.15 * k.intensity * f.soft(2, 2.6)
    )
    for _ in range(2):
        wave = F.avg_pool2d(wave, 7, 1, 3, count_include_pad=False)
    east = slope(wave, 0, 3) - slope(wave, 0, -3)
    south = slope(wave, 3, 0) - slope(wave, -3, 0)
    steep = 4.2
    nz = torch.rsqrt(1 + (steep * east) ** 2 + (steep * south) ** 2)
    nx, ny = steep * east * nz, steep * south * nz
    # The direction of a reflected ray, and the light of the room in that direction.
    to_x, to_y = 2 * nz * nx, 2 * nz * ny
    room = 0.42 - 0.36 * to_y + 0.12 * to_x - 0.34 * torch.exp(-(((to_y - 0.22 - 0.2 * to_x) / 0.17) ** 2))
    room = room + 0.07 * torch.sin(4 * to_x + 3 * to_y + torch.sin(k.phase))
    lamp = torch.exp(-(((to_x + 0.35) / 0.26) ** 6 + ((to_y + 0.6) / 0.2) ** 6))
    strip = torch.exp(-(((to_x - 0.6 - 0.3 * to_y) / 0.09) ** 2)) * step(0.5, -0.3, to_y)
    rose = 0.9 * step(0.0, 1.0, to_y + 0.45 * to_x + 0.3 * f.soft(3, 4.0))
    skin = k.palette.ramp(CHROME, room.clamp(0, 1))
    skin = torch.lerp(skin, k.palette.ramp(SHEEN, (room + 0.1).clamp(0, 1)), rose) * (0.8 + 0.7 * k.intensity)
    table = 0.24 + 0.2 * torch.exp(-((f.y - 0.2) ** 2) * 3 - f.x**2) - 0.05 * f.y
    ground = k.palette.ramp(CHROME, (table + 0.02 * f.rough(3, (2.0, 4.0))).clamp(0, 1)) * 0.6
    under = step(-0.6, 0.0, level) * (1 - metal)
    base = torch.lerp(ground * (1 - 0.6 * under), skin, metal)
    shine = metal * (lamp * (0.7 + 0.9 * k.intensity) + 0.8 * strip)
    return Light(base, shine * k.palette.flat(0.97, 0.015, 230) + metal * strip * k.palette.flat(0.7, 0.14, 60) * 0.5)


def cells(f: Fields, k: SceneParameters) -> Light:
    """Living cells under a microscope, dyed and glowing; a resting few at 0, a dividing crowd at 1."""
    deep = f.rough(3, (2.6, 2.6), 0.5)
    focus = torch.exp(-((f.x + 0.2 - 0.4 * k.centre_x) ** 2 + (f.y - 0.05 - 0.3 * k.centre_y) ** 2) * 1.1)
    value = 0.1 + 0.06 * deep + 0.14 * focus * (0.4 + k.intensity)
    light = k.palette.ramp(DYE, value.clamp(0, 1)) * 0.7
    blur_ = step(0.2, 1.6, f.soft(2, 2.4)) * 0.5
    light = light + k.palette.ramp(DYE, (0.3 * blur_).clamp(0, 1)) * blur_ * 0.5
    pitch = 0.46
    u, v = f.x / pitch, f.y / pitch
    row = torch.round(v)
    blank = torch.full_like(u + focus, 9.0)
    first, second = blank, blank
    at_x, at_y, life = blank * 0, blank * 0, blank * 0
    for down in (-1, 0, 1):
        line_ = row + down
        offset = 0.5 * (line_ % 2)
        column = torch.round(u - offset)
        for right in (-1, 0, 1):
            at_u, at_v = column + right + offset, line_
            px, py = at_u * pitch, at_v * pitch
            one, two = f.at(0, 1.3, px, py), f.at(1, 1.3, px, py)
            dx, dy = u - at_u - 0.17 * one, v - at_v - 0.17 * two
            apart = torch.sqrt(dx * dx + dy * dy + 1e-4) * (1 - 0.09 * f.at(2, 1.3, px, py))
            ahead = apart < first
            second = torch.where(ahead, first, torch.minimum(second, apart))
            at_x, at_y = torch.where(ahead, dx, at_x), torch.where(ahead, dy, at_y)
            life = torch.where(ahead, 0.75 * one + 0.65 * f.at(3, 1.3, px, py), life)
            first = torch.minimum(first, apart)
    wobble = 0.035 * f.soft(2, 0.9)
    inside = torch.minimum(0.47 - first + wobble, 0.5 * (second - first) - 0.03)
    body = step(-0.01, 0.03, inside)
    awake = torch.sigmoid(2.0 * (life + 3.0 * k.intensity - 1.7 + 1.6 * (focus - 0.4)))
    pulse = 0.8 + 0.2 * torch.cos(k.phase + 3 * life)
    rim = torch.exp(-((inside / 0.045) ** 2)) * step(-0.1, 0.0, inside)
    grains = (0.5 + 0.5 * f.rough(2, (0.9, 0.9), 0.6)).clamp(0, 1.5)
    flesh = 0.14 + (0.12 + 0.34 * awake) * (0.7 + 0.3 * grains) * torch.exp(-3.0 * inside.clamp(min=0))
    plasm = k.palette.ramp(DYE, (0.1 + flesh).clamp(0, 1)) * (0.6 + 0.9 * awake)
    light = torch.lerp(light, plasm, body * 0.9)
    # The nucleus divides in two as the cell becomes active.
    split = 0.1 * step(0.55, 1.0, awake)
    lean = 0.8 * life
    along = at_x * torch.cos(lean) + at_y * torch.sin(lean)
    aside = at_y * torch.cos(lean) - at_x * torch.sin(lean)
    centre = torch.sqrt((along.abs() - split) ** 2 + aside**2)
    nucleus = step(0.175, 0.13, centre + 0.3 * wobble) * body
    spot = torch.exp(-((centre / 0.06) ** 2)) * body
    chroma = (0.2 + 0.4 * awake * pulse + 0.12 * grains).clamp(0, 1)
    dyed = k.palette.ramp(NUCLEUS, chroma) * nucleus * (0.25 + 0.9 * awake * pulse)
    light = light * (1 - 0.6 * nucleus)
    edge = k.palette.ramp(DYE, (0.35 + 0.45 * awake).clamp(0, 1)) * rim * (0.15 + 0.9 * awake) * pulse
    hot = spot * k.palette.flat(0.93, 0.06, 350) * awake * (0.3 + 1.2 * k.intensity)
    fade = 0.06 + 1.1 * focus**1.4
    return Light(light * fade, (edge * (0.4 + 0.7 * k.intensity) + dyed * 0.8 + hot) * fade)


FAMILIES = {
    "plasma": Family(
        plasma, ARC, drift=60.0,
        phrases=(
            "plasma", "a plasma globe", "electric plasma", "electricity", "high voltage", "an electric discharge",
            "arcs of electricity", "ionised gas", "tesla coil", "glowing filaments", "energy field", "raw energy",
            "electric arcs", "fusion reactor", "violet sparks", "pure power",
        ),
        held_out=("electrical discharge", "ball lightning"),
    ),
    "crystal": Family(
        crystal, AMETHYST, drift=60.0,
        phrases=(
            "crystal", "crystals", "amethyst", "a geode", "quartz", "gemstones", "facets of a diamond", "diamond",
            "a cave of crystals", "ice crystals", "glowing crystals", "minerals", "polished gems", "low poly facets",
            "crystal shards", "jewels",
        ),
        held_out=("gemstone cave", "mineral"),
    ),
    "liquid_metal": Family(
        liquid_metal, CHROME, drift=60.0,
        phrases=(
            "liquid metal", "mercury", "chrome", "molten silver", "flowing chrome", "quicksilver", "liquid mirror",
            "melted steel", "metal drops", "a chrome blob", "shiny metal", "liquid steel", "polished metal",
            "mirror surface", "metallic fluid", "mercury drops",
        ),
        held_out=("molten metal", "liquid chrome"),
    ),
    "cells": Family(
        cells, DYE, drift=60.0,
        phrases=(
            "cells", "living cells", "under the microscope", "biology", "dividing cells", "a microscope picture",
            "microorganisms", "bacteria", "organic tissue", "mitosis", "fluorescent cells", "a cell nucleus",
            "life in a petri dish", "microbes", "amoeba", "embryo",
        ),
        held_out=("microscopy", "organism"),
    ),
}  # fmt: skip
