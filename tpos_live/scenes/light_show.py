"""Scene families of light shows: neon grid, fireworks, laser beams."""

from __future__ import annotations

import math

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, slope, step
from tpos_live.scenes.palettes import CLUB, SPOTLIGHTS
from tpos_live.scenes.shapes import summits

GRID = [(0.02, 0.015, 285), (0.12, 0.07, 290), (0.28, 0.14, 300), (0.5, 0.2, 330), (0.7, 0.17, 5), (0.88, 0.1, 60)]
WIRE = [(0.45, 0.19, 300), (0.64, 0.17, 262), (0.8, 0.12, 232), (0.95, 0.04, 220)]
SUN = [(0.52, 0.24, 345), (0.62, 0.23, 15), (0.76, 0.18, 55), (0.9, 0.15, 92)]
SPARK = [(0.62, 0.21, 25), (0.82, 0.15, 80), (0.8, 0.14, 190), (0.62, 0.2, 300), (0.75, 0.18, 350)]
DUSK = [(0.03, 0.02, 270), (0.1, 0.05, 272), (0.2, 0.08, 285), (0.34, 0.1, 320)]


def neon_grid(f: Fields, k: SceneParameters) -> Light:
    """A striped sun over glowing lines that approach with `phase`; dusk at 0, full sun and high hills at 1."""
    horizon = 0.06 + 0.15 * k.centre_y
    sun_x = -0.22 + 0.4 * k.centre_x
    floor = step(-0.004, 0.008, f.y - horizon)
    aside = f.x - sun_x
    below = (f.y - horizon).clamp(min=0)
    hill = f.soft(0, (1.6, 2.4)) * step(0.05, 0.5, below) * step(0.1, 0.9, aside.abs() / (0.3 + below))
    ground = (below * (1 + (0.06 + 0.2 * k.intensity) * hill)).clamp(min=0)
    far = 1 / (ground + 0.06)
    # Lines in the plain with a constant width on the screen: the distance in the plain, divided by its slope.
    near = 1 / (1.2 * far**2)
    along = ((1.2 * far + k.phase / math.tau + 0.5) % 1 - 0.5).abs() * 0.83 / far**2
    across = ((2.2 * aside * far + 0.5) % 1 - 0.5).abs() * 0.45 / far
    wide = 0.006 + 0.012 * below
    rows = line(along, wide) * step(0.02, 0.07, near)
    rails = line(across, wide) * step(0.02, 0.1, 0.45 / far)
    wave = 0.75 + 0.5 * f.soft(1, (2.0, 3.5))
    beside = torch.exp(-((aside / (0.55 + 0.65 * below)) ** 2))
    lamp = (rows + rails) * (0.12 + 0.88 * beside) * wave.clamp(0.15) * (0.2 + 0.9 * k.intensity)
    haze = torch.exp(-7 * below)
    wires = k.palette.ramp(WIRE, (0.75 - 0.55 * below - 0.12 * hill).clamp(0, 1)) * lamp

    up = (horizon - f.y).clamp(min=0)
    clouds = f.rough(2, (1.1, 4.5), 0.6)
    sky = k.palette.ramp(GRID, (0.56 - 0.5 * up + 0.04 * clouds * step(0.0, 0.3, up)).clamp(0.08, 1))
    plain = k.palette.ramp(GRID, (0.14 + 0.4 * haze + 0.05 * hill).clamp(0, 1)) * 0.7
    high = up - 0.1 - 0.32 * k.intensity
    disc = torch.sqrt(aside**2 + high**2)
    bands = step(-0.25, 0.3, torch.cos(math.tau * (9 * up) - k.phase) + 4.2 * (up - 0.18))
    size = 0.3 + 0.09 * k.intensity
    sun = step(0.0, -0.015, disc - size) * bands
    ridge = f.y - horizon + (0.05 + 0.2 * step(0.2, 1.1, aside.abs())) * (1 + 0.55 * f.rough(1, (9.0, 1.8), 0.6))
    land = step(-0.004, 0.01, ridge) * (1 - floor)
    rim = line(ridge, 0.012) * (1 - floor) * (0.15 + 0.5 * k.intensity)
    body = k.palette.ramp(GRID, (0.1 + 0.22 * torch.exp(-6 * up)).clamp(0, 1))
    base = torch.lerp(torch.lerp(sky, body, land), plain, floor)
    face = (
        k.palette.ramp(SUN, ((up + 0.3 * (1 - k.intensity)) / 0.85).clamp(0, 1))
        * sun
        * (1 - land)
        * (0.5 + 0.85 * k.intensity)
    )
    star = summits(f, 3, 0.8)
    stars = (
        star.disc(0.022, 0.9)
        * step(0.9, 2.4, star.height)
        * step(0.2, 0.6, up)
        * (1 - land)
        * step(0.0, 0.08, disc - size)
    )
    mirror = torch.exp(-((aside / (0.12 + 0.35 * below)) ** 2)) * torch.exp(-2.2 * below) * floor
    glow = k.palette.ramp(SUN, (0.45 - 0.45 * below).clamp(0, 1)) * mirror * (0.12 + 0.4 * k.intensity)
    emit = face * (1 - floor) + wires * floor + glow + rim * k.palette.flat(0.7, 0.17, 350) + stars * 1.4
    return Light(base * (0.55 + 0.5 * k.intensity), emit)


def fireworks(f: Fields, k: SceneParameters) -> Light:
    """Shells that open, hang and fall over a dark lake with `phase`; one at 0, many at 1."""
    shore = 0.62 + 0.1 * k.centre_y
    smoke = f.rough(2, (2.6, 3.4), 0.58)
    water = step(0.0, 0.015, f.y - shore)
    y = torch.where(f.y > shore, 2 * shore - f.y, f.y) + 0.012 * f.soft(1, (0.6, 2.0)) * water
    x = f.x + 0.03 * f.soft(0, (0.6, 2.0)) * water
    x, y = x + 0.06 * f.soft(0, 5.0), y + 0.05 * f.soft(1, 5.0)
    emit: torch.Tensor | float = 0.0
    lit: torch.Tensor | float = 0.0
    shells = (
        (-0.28, -0.3, 0.62, 16, 0.0, 0.1, 0.0),
        (0.5, -0.5, 0.44, 12, 0.33, 0.42, 0.22),
        (-0.8, -0.05, 0.38, 11, 0.6, 0.8, 0.45),
        (0.18, 0.12, 0.34, 10, 0.8, 0.62, 0.62),
        (0.95, 0.0, 0.4, 12, 0.15, 0.25, 0.75),
        (-1.3, -0.45, 0.5, 14, 0.45, 0.95, 0.3),
        (1.35, -0.4, 0.5, 14, 0.7, 0.5, 0.4),
    )
    for at_x, at_y, size, rays, offset, hue, after in shells:
        age = (k.phase / math.tau + offset) % 1
        grown = 1 - (1 - age) ** 3
        fade = step(0.0, 0.06, age) * step(1.0, 0.45, age) * step(after - 0.08, after + 0.15, k.intensity + 0.08)
        dx = x - at_x - 0.3 * k.centre_x
        dy = y - at_y - 0.22 * age**2
        r = torch.sqrt(dx * dx + dy * dy + 1e-4)
        droop = 0.5 * age * r
        angle = torch.atan2(dy - droop * r, dx)
        reach = size * (0.25 + 0.75 * grown) * (1 + 0.1 * f.soft(3, 1.6) + 0.1 * torch.cos(5 * angle + 9 * offset))
        along = r / reach
        ray = torch.exp(3.0 * (torch.cos(rays * angle) - 1)) + 0.6 * torch.exp(
            3.0 * (torch.cos(rays * angle + math.pi) - 1)
        ) * step(0.75, 0.55, along)
        trail = step(1.0, 0.9, along) * along.clamp(0, 1) ** (1 + 3 * age) * (0.5 + 0.5 * step(0.1, 0.3, along))
        tips = torch.exp(-(((along - 0.93) / 0.07) ** 2)) + 0.5 * torch.exp(-(((along - 0.6) / 0.06) ** 2))
        flash = torch.exp(-((r / (0.06 + 0.1 * age)) ** 2)) * step(0.4, 0.0, age)
        glitter = (1 + 0.5 * f.soft(3, 0.6)).clamp(0.1)
        tone = k.palette.ramp(SPARK, (hue + 0.12 * (along - 0.7)).clamp(0, 1))
        emit = emit + tone * (ray * (0.55 * trail + 1.3 * tips) * glitter + 0.25 * flash) * fade
        lit = lit + tone * torch.exp(-2.2 * r / size) * fade * 0.25
    assert isinstance(emit, torch.Tensor) and isinstance(lit, torch.Tensor)
    up = (shore - f.y).clamp(min=0)
    night = k.palette.ramp(DUSK, (0.62 - 0.4 * up + 0.06 * smoke).clamp(0.1, 1)) * 0.6
    haze = lit * (0.5 + 0.4 * smoke).clamp(0)
    hills = f.y - shore + 0.07 + 0.045 * f.rough(1, (9.0, 2.4), 0.6)
    land = step(-0.004, 0.01, hills) * (1 - water)
    deep = (f.y - shore).clamp(min=0)
    sea = k.palette.ramp(DUSK, (0.5 - 0.6 * deep).clamp(0.08, 1)) * 0.45
    base = torch.lerp(night + haze, k.palette.ramp(DUSK, torch.full_like(up, 0.1)) * 0.5, land)
    base = torch.lerp(base, sea + 0.4 * haze, water)
    ripple = (0.65 + 0.5 * f.soft(0, (0.55, 2.4))).clamp(0.1)
    shine = torch.lerp(torch.ones_like(up), 0.42 * ripple * torch.exp(-0.8 * deep), water)
    lamps = torch.exp(-(((f.y - shore + 0.015) / 0.012) ** 2)) * step(0.2, 1.2, f.soft(2, (3.0, 0.8)))
    return Light(
        base, emit * shine * (1 - land) * (1.1 + 1.3 * k.intensity) + 0.8 * lamps * k.palette.flat(0.82, 0.13, 70)
    )


def laser_beams(f: Fields, k: SceneParameters) -> Light:
    """Fans of laser light in the fog of a hall, over a crowd; one lazy fan at 0, every beam at 1."""
    fog = f.rough(0, (3.2, 5.0), 0.45)
    thin = f.soft(1, (2.2, 3.6))
    depth = (f.y + 1) / 2
    value = 0.3 + 0.26 * depth * (1 + 0.18 * fog) + 0.1 * k.intensity
    base = k.palette.ramp(CLUB, value.clamp(0, 1)) * 0.8
    emit: torch.Tensor | float = 0.0
    fans = (
        (-0.2, 0.42, 7, 0.2, 0.3, 0.72, 0.0),
        (0.62, 0.42, 5, 0.8, -0.35, 0.55, 0.3),
        (-1.05, 0.42, 4, 0.5, 0.25, 0.5, 0.6),
        (1.4, 0.42, 5, 0.35, -0.2, 0.6, 0.75),
    )
    for at_x, at_y, beams, hue, lean, spread, after in fans:
        power = step(after - 0.1, after + 0.25, k.intensity + 0.1)
        dx = f.x - at_x - 0.3 * k.centre_x
        dy = at_y + 0.2 * k.centre_y - f.y
        r = torch.sqrt(dx * dx + dy * dy + 1e-4)
        opening = spread * (0.9 + 0.1 * torch.cos(k.phase + 5 * after))
        angle = torch.atan2(dx, dy) - 0.36 * lean * torch.sin(k.phase + 9 * after)
        place = angle / opening * (beams - 1) / 2
        nearest = torch.round(place).clamp(-(beams - 1) / 2, (beams - 1) / 2)
        if beams % 2 == 0:
            nearest = (torch.round(place - 0.5) + 0.5).clamp(-(beams - 1) / 2, (beams - 1) / 2)
        apart = (place - nearest) * opening * 2 / (beams - 1) * r
        shaft = line(apart, 0.007 + 0.006 * r) + 0.22 * line(apart, 0.05)
        sheet = step(1.12, 0.95, (angle / opening).abs()) * 0.09
        dust = (0.7 + 0.45 * fog + 0.25 * thin).clamp(0.12)
        dim = torch.exp(-0.85 * r) * step(-0.02, 0.04, dy)
        tone = k.palette.ramp(SPOTLIGHTS, (hue + 0.25 * nearest / beams + torch.zeros_like(r)).clamp(0, 1))
        source = torch.exp(-((r / 0.035) ** 2)) * 2.5
        emit = emit + tone * ((shaft + sheet) * dust * dim + source) * power
    assert isinstance(emit, torch.Tensor)
    # Heads and shoulders, two rows deep.
    far = _crowd(f, 2, f.x, f.y - 0.68, 0.055)
    near = _crowd(f, 3, f.x + 0.05, f.y - 0.86, 0.1)
    back, front = step(-0.008, 0.008, far), step(-0.008, 0.008, near)
    wash = torch.exp(-((f.y - 0.45) ** 2) * 6) * (0.15 + 0.5 * k.intensity)
    rear = k.palette.ramp(CLUB, (0.35 + 0.5 * wash * torch.exp(-9 * far.clamp(min=0))).clamp(0, 1)) * 0.5
    base = base + wash * (0.6 + 0.3 * fog).clamp(0) * k.palette.flat(0.45, 0.14, 290) * 0.5
    base = torch.lerp(torch.lerp(base, rear, back), k.palette.ramp(CLUB, torch.full_like(far, 0.15)) * 0.3, front)
    rim = (slope(back, -4, 0).clamp(min=0) * (1 - front) + 0.7 * slope(front, -4, 0).clamp(min=0)) * wash * 0.7
    glow = emit * (1 - 0.97 * back) * (1 - front) * (0.6 + 1.2 * k.intensity)
    return Light(base, glow + rim * k.palette.flat(0.62, 0.2, 310))


def _crowd(f: Fields, channel: int, x: torch.Tensor, y: torch.Tensor, size: float) -> torch.Tensor:
    """Signed distance of x, y inside a row of people whose heads have the radius `size`; noise varies their heights."""
    pitch = 2.7 * size
    best = torch.full_like(x, -9.0)
    for beside in (-1, 0, 1):
        at = (torch.round(x / pitch) + beside) * pitch
        tall = 0.55 * size * f.at(channel, 1.0, at, torch.full_like(at, 0.8))
        down = y + tall
        head = size - torch.sqrt((x - at) ** 2 + (down * 0.85) ** 2)
        shoulders = down - 0.9 * size - 0.55 * (x - at) ** 2 / size
        best = torch.maximum(best, torch.maximum(head, shoulders))
    return best


FAMILIES = {
    "neon_grid": Family(
        neon_grid, WIRE, drift=35.0,
        phrases=(
            "neon grid", "a neon grid", "a synthwave landscape", "retrowave sunset", "an eighties video game",
            "outrun", "glowing grid lines", "a striped sun over a grid", "vaporwave", "retro future landscape",
            "a plain of laser lines", "wireframe hills", "the grid", "arcade horizon", "virtual reality",
            "cyberspace",
        ),
        held_out=("wireframe terrain", "retro computer landscape"),
    ),
    "fireworks": Family(
        fireworks, SPARK, drift=60.0,
        phrases=(
            "fireworks", "a firework", "new year's eve", "fireworks over a lake", "exploding rockets",
            "pyrotechnics", "celebration in the sky", "bursting shells of light", "a finale of fireworks",
            "sparklers", "fourth of july", "rockets in the night", "an explosion of colours", "festival night",
            "golden rain of sparks", "party",
        ),
        held_out=("skyrockets", "bengal lights"),
    ),
    "laser_beams": Family(
        laser_beams, SPOTLIGHTS, drift=60.0,
        phrases=(
            "laser beams", "lasers", "a laser show", "rave", "lasers in fog", "concert lights", "stage lights",
            "a crowd at a rave", "beams of light", "techno party", "light show", "spotlights in haze", "dance floor",
            "festival stage", "disco lights", "hands in the air",
        ),
        held_out=("laser rays", "searchlights"),
    ),
}  # fmt: skip
