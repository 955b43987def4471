"""Scene families of landscapes: sunset over the savanna, desert dunes, forest, lava."""

from __future__ import annotations

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, slope, step
from tpos_live.scenes.shapes import contour, summits

BLAZE = [
    (0.09, 0.05, 285),
    (0.22, 0.09, 300),
    (0.4, 0.14, 345),
    (0.58, 0.17, 25),
    (0.74, 0.16, 52),
    (0.88, 0.12, 80),
    (0.97, 0.05, 95),
]
SAND = [(0.08, 0.04, 320), (0.2, 0.065, 350), (0.36, 0.1, 28), (0.54, 0.135, 46), (0.7, 0.135, 58), (0.86, 0.1, 72)]
NOON = [(0.9, 0.08, 72), (0.76, 0.09, 55), (0.6, 0.07, 20), (0.42, 0.07, 300), (0.28, 0.075, 275), (0.18, 0.06, 268)]
WOOD = [
    (0.03, 0.015, 180),
    (0.1, 0.03, 170),
    (0.22, 0.05, 155),
    (0.42, 0.085, 138),
    (0.64, 0.11, 118),
    (0.84, 0.1, 104),
    (0.97, 0.04, 98),
]
CRUST = [(0.03, 0.008, 30), (0.08, 0.015, 25), (0.16, 0.025, 20), (0.28, 0.03, 25), (0.42, 0.03, 40)]
MOLTEN = [(0.12, 0.06, 18), (0.32, 0.14, 26), (0.52, 0.19, 36), (0.7, 0.17, 55), (0.86, 0.13, 80), (0.98, 0.05, 98)]


def sunset(f: Fields, k: SceneParameters) -> Light:
    """A great sun behind bars of cloud, a lone tree on the plain; an afterglow at 0, a burning sky at 1."""
    horizon = 0.5
    sun_x, sun_y = 0.3, 0.2
    up = (horizon - f.y).clamp(min=0)
    far = torch.sqrt((f.x - sun_x) ** 2 + (f.y - sun_y) ** 2)
    glow = torch.exp(-1.5 * far)
    high = step(0.0, 0.9, up)
    bars = torch.lerp(f.rough(0, (0.6, 3.5), 0.55), f.rough(0, (1.5, 4.5), 0.6), high)
    wisps = f.rough(1, (1.0, 3.0), 0.6)
    cloud = step(0.15, 1.5, bars + 0.3 * wisps + 0.3 * high)
    under = slope(bars, 7, -2)
    value = 0.74 - 0.52 * up + 0.3 * glow - 0.36 * (1 - k.intensity)
    sky = k.palette.ramp(BLAZE, value.clamp(0, 1)) * (0.35 + 0.5 * k.intensity + 0.5 * glow)
    shade = 0.3 - 0.16 * up + (0.32 + 0.3 * k.intensity) * glow + (0.16 + 0.3 * k.intensity) * under.clamp(-0.6, 1.0)
    body = k.palette.ramp(BLAZE, shade.clamp(0, 1)) * (0.5 + 0.7 * k.intensity + 0.4 * glow)
    light = torch.lerp(sky, body, 0.9 * cloud)
    disc = step(0.262, 0.248, far) * (1 - 0.8 * step(0.1, 0.9, bars + 0.7 * f.y - 0.2))
    melt = k.palette.ramp(BLAZE, (0.86 - 0.9 * (f.y - sun_y + 0.12).clamp(0, 1)).clamp(0, 1))
    sun = melt * disc * (0.3 + 1.5 * k.intensity)
    ridge = f.y - horizon + 0.02 * f.soft(2, (9.0, 3.0)) + 0.05 * torch.exp(-2.0 * f.soft(3, (9.0, 0.8)).abs())
    plain = step(-0.006, 0.014, ridge)
    grass = step(
        -0.01, 0.02, f.y - 0.9 + 0.2 * torch.exp(-1.4 * f.soft(1, (9.0, 0.6)).abs()) + 0.03 * f.soft(0, (9.0, 3.0))
    )
    x, y = f.x + 0.52, f.y + 0.02
    tuft = f.rough(2, (0.9, 1.4), 0.6).clamp(-1.4, 1.1)
    crown = torch.sqrt((x / 0.4) ** 2 + ((y + 0.1 * x * x) / 0.095) ** 2) - 0.3 * tuft
    crown = torch.minimum(crown, torch.sqrt(((x - 0.16) / 0.2) ** 2 + ((y + 0.13) / 0.06) ** 2) - 0.25 * tuft)
    trunk = step(0.03, 0.014, (x - 0.05 * torch.sin(4.0 * y)).abs() - 0.012 * step(0.3, 0.6, y)) * step(0.0, 0.05, y)
    fork = step(0.022, 0.008, (x - 0.4 * (0.3 - y)).abs()) * step(0.3, 0.26, y) * step(0.0, 0.05, y)
    tree = torch.maximum(step(1.05, 0.92, crown), torch.maximum(trunk, fork)) * step(0.6, 0.5, f.y)
    dark = k.palette.ramp(BLAZE, (0.03 + 0.06 * torch.exp(-14 * ridge.clamp(min=0))).clamp(0, 1)) * 0.7
    haze = k.palette.flat(0.7, 0.15, 45) * torch.exp(-9 * ridge.clamp(min=0)) * glow * (0.12 + 0.5 * k.intensity)
    shape = torch.maximum(torch.maximum(plain, tree), grass)
    light = torch.lerp(light, dark + haze * plain * (1 - grass) * (1 - tree), shape)
    warm = k.palette.flat(0.8, 0.13, 60)
    return Light(light, (1 - shape) * (sun + 0.3 * warm * torch.exp(-4.0 * far) * (0.3 + k.intensity)))


def desert_dunes(f: Fields, k: SceneParameters) -> Light:
    """Dunes with knife edges and ripples in low light; still at dusk at 0, smoking with sand under a hot sun at 1."""
    sun_x, sun_y = -0.52, -0.3
    far = torch.sqrt((f.x - sun_x) ** 2 + (f.y - sun_y) ** 2)
    glow = torch.exp(-1.6 * far)
    dust = f.rough(3, (1.6, 4.5), 0.55)
    power = 0.16 + 0.9 * k.intensity
    air = (
        k.palette.ramp(
            NOON,
            (0.66 - 0.26 * k.intensity - (0.55 - 0.1 * k.intensity) * (f.y + 0.25) - 0.5 * glow + 0.02 * dust).clamp(
                0, 1
            ),
        )
        * power
    )
    light = air
    open_sky: torch.Tensor | float = 1.0
    for layer, (level, tall, channel) in enumerate(((-0.04, 0.07, 2), (0.1, 0.13, 0), (0.42, 0.22, 1))):
        wide = 2.6 + 1.1 * layer
        form = f.soft(channel, (1.5 * wide, wide)) + 0.25 * f.soft(channel, (2.0 * wide, 0.5 * wide))
        crest = f.y - level + tall * form
        land = step(-0.006, 0.012, crest)
        facing = slope(form, 4, 24) / 24 * wide
        lee = step(-0.07, 0.07, facing - 0.02 + 0.14 * crest)
        sway = 1.6 * form + 0.5 * f.soft((channel + 1) % 3, (2.5, 3.5))
        ripple = torch.sin(
            26 * torch.log(crest.clamp(min=0) + 0.35) / (1 + 0.25 * layer) * (1.6 - 0.2 * layer) + 2.2 * sway
        )
        depth = (crest / 0.7).clamp(0, 1)
        lit = 0.74 - 0.16 * depth + (0.014 + 0.012 * layer) * ripple + 0.16 * glow
        shadow = 0.2 - 0.1 * depth + 0.01 * ripple
        tone = torch.lerp(shadow, lit, lee)
        body = k.palette.ramp(SAND, tone.clamp(0, 1)) * (0.16 + 0.96 * k.intensity) * (0.75 + 0.6 * glow)
        veil = (0.42 - 0.19 * layer) * torch.exp(-1.4 * crest.clamp(min=0))
        body = torch.lerp(body, k.palette.ramp(NOON, (0.28 - 0.3 * glow).clamp(0, 1)) * power * 0.9, veil)
        light = torch.lerp(light, body, land)
        high = torch.exp(-((crest / (0.04 + 0.07 * k.intensity)) ** 2))
        smoke = high * step(-0.4, 1.5, dust + 0.7 * form) * k.intensity
        light = torch.lerp(light, k.palette.flat(0.88, 0.08, 68) * power, 0.6 * smoke)
        open_sky = open_sky * (1 - land)
    assert isinstance(open_sky, torch.Tensor)
    warm = k.palette.flat(0.93, 0.09, 78)
    sun = step(0.125, 0.11, far) * (0.5 + 1.7 * k.intensity) + 0.2 * torch.exp(-3.5 * far) * (0.4 + 0.8 * k.intensity)
    return Light(light, warm * sun * (0.15 * torch.exp(-2 * far) + 0.85 * open_sky))


def forest(f: Fields, k: SceneParameters) -> Light:
    """Tall trunks in mist, shafts of light from above; a dim wood at 0, ablaze with sun at 1."""
    sun_x, sun_y = 0.3, -0.3
    far = torch.sqrt((f.x - sun_x) ** 2 + (0.75 * (f.y - sun_y)) ** 2)
    glow = torch.exp(-2.1 * far)
    mist = f.rough(3, (2.5, 3.5), 0.55)
    power = 0.12 + 1.0 * k.intensity
    air = k.palette.ramp(WOOD, (0.34 + 0.62 * glow + 0.035 * mist).clamp(0, 1)) * power * (0.8 + 0.8 * glow)
    light = air
    planes = ((0, 0.55, 0.9, 0.34), (1, 0.9, 0.95, 0.17), (2, 1.5, 1.1, 0.02))
    for layer, (channel, wide, above, tone) in enumerate(planes):
        bark = f.soft(channel, (14.0, wide)) + 0.1 * f.soft(channel, (5.0, 0.7)) + 0.25 * step(0.3, 1.0, f.y)
        trunk = step(above, above + 0.18, bark)
        body = k.palette.ramp(WOOD, (tone + 0.34 * glow * (1 - 0.33 * layer)).clamp(0, 1)) * power
        lit = line(bark - above - 0.12, 0.1) * glow * (0.5 - 0.1 * layer)
        light = torch.lerp(light, body * 0.8 + lit * air, trunk)
        light = torch.lerp(light, air, (0.3 - 0.1 * layer) * step(-0.3, 0.8, f.y + 0.3 * mist * 0.3))
    leaves = f.rough(1, (1.5, 1.7), 0.6, 2)
    canopy = step(-0.15, 0.3, 0.3 * leaves - 2.0 * (f.y + 0.72) - 0.7 * glow)
    leaf = k.palette.ramp(WOOD, (0.08 + 0.4 * glow + 0.03 * leaves).clamp(0, 1)) * power * 0.8
    light = torch.lerp(light, leaf, 0.94 * canopy)
    ferns = f.y - 0.74 + 0.1 * f.soft(0, (9.0, 3.0)) + 0.22 * torch.exp(-1.2 * f.soft(1, (9.0, 0.7)).abs())
    floor = step(-0.02, 0.04, ferns)
    blades = slope(f.rough(2, (1.2, 1.4), 0.6), 6, -6)
    moss = 0.13 + 0.09 * blades + 0.42 * glow - 0.22 * ferns.clamp(min=0)
    light = torch.lerp(light, k.palette.ramp(WOOD, moss.clamp(0, 1)) * power, floor)
    angle = torch.atan2(f.x - 0.62, f.y + 1.5)
    beams = torch.cos(17 * angle + 1.1 * f.soft(0, 4.5) + k.phase) + torch.cos(29 * angle + 1.3 * f.soft(1, 4.0))
    near = torch.exp(-((angle + 0.2) ** 2) / 0.09)
    shafts = step(0.0, 2.0, beams) * near * step(1.0, -0.3, f.y) * (1 - 0.7 * floor) * (1 - 0.6 * canopy)
    gold = k.palette.flat(0.9, 0.11, 96)
    mote = summits(f, 3, 0.9)
    motes = mote.disc(0.024, 0.8) * step(1.3, 2.1, mote.height) * (glow + 0.4 * shafts)
    emit = shafts * (0.05 + 0.5 * k.intensity) + 0.9 * glow**3 * k.intensity
    return Light(light, gold * (emit + motes * (0.3 + 2.0 * k.intensity)))


def lava(f: Fields, k: SceneParameters) -> Light:
    """A field of lava before a volcano; thin glowing cracks at 0, rivers of molten rock at 1."""
    horizon = -0.05
    below = (f.y - horizon).clamp(min=0)
    ground = step(-0.01, 0.02, f.y - horizon)
    near = step(0.0, 0.7, below)
    plates = torch.lerp(f.rough(0, (0.7, 2.4), 0.5, 2), f.rough(0, (2.2, 3.2), 0.5), near)
    crust = torch.lerp(f.rough(1, (0.7, 1.8), 0.55, 2), f.rough(1, (1.4, 1.8), 0.55), near)
    wide = (0.9 + 3.4 * k.intensity) * (0.6 + 0.9 * near)
    fresh = step(-1.4, 0.8, f.soft(2, (2.5, 3.5)) + 0.8 * k.intensity)
    cracks = contour(plates, wide) * (0.45 + 0.55 * fresh) + 0.5 * contour(crust + 0.5 * plates, 0.6 * wide) * fresh
    river = step(0.9 - 0.6 * k.intensity, 0.1, plates.abs()) * fresh * (0.12 + 0.5 * k.intensity)
    heat = (cracks * (0.55 + 0.35 * k.intensity) + river * (0.75 + 0.25 * crust)).clamp(0, 1)
    relief = slope(plates + 0.5 * crust, -5, 4)
    rock = k.palette.ramp(CRUST, (0.24 + 0.22 * relief + 0.03 * crust).clamp(0, 1)) * (0.5 + 0.4 * k.intensity)
    x, y = f.x + 0.34, f.y
    rise = (-(y - horizon)).clamp(min=0)
    cone = y + 0.54 - 0.78 * (x.abs() - 0.09).clamp(min=0) ** 0.85 + 0.03 * f.soft(1, (9.0, 1.2))
    hill = step(-0.01, 0.015, cone) * (1 - ground)
    away = torch.sqrt(x**2 + (0.8 * (y + 0.6)) ** 2)
    vent = torch.exp(-1.9 * away)
    ash = f.rough(3, (2.4, 3.0), 0.6)
    lit = (0.55 + 0.26 * ash) * vent * (0.5 + 0.8 * k.intensity)
    sky = k.palette.ramp(MOLTEN, (0.04 + 0.62 * lit + 0.1 * torch.exp(-5 * rise)).clamp(0, 1)) * (0.12 + 1.1 * lit)
    bend = 0.09 * f.soft(2, (1.6, 4.0)) * step(0.0, 0.4, y + 0.55)
    stream = line(x + bend, 0.016 + 0.03 * k.intensity * step(-0.5, 0.0, y)) + 0.6 * line(
        x + 0.42 * (y + 0.5) + bend, 0.014
    )
    stream = stream.clamp(max=1) * step(0.0, 0.05, cone) * step(-0.02, -0.12, y - horizon - 0.1)
    light = torch.lerp(sky, k.palette.ramp(CRUST, (0.1 + 0.12 * vent).clamp(0, 1)) * 0.6, hill)
    haze = torch.exp(-8 * below) * (0.1 + 0.3 * k.intensity)
    light = torch.lerp(light, rock + k.palette.flat(0.5, 0.16, 32) * haze, ground)
    top = (-(y + 0.52)).clamp(min=0)
    jet = torch.exp(-((x / (0.05 + 0.5 * top)) ** 2)) * step(0.0, 0.05, top) * step(0.12 + 0.4 * k.intensity, 0.0, top)
    jet = jet * step(-1.0, 1.2, f.rough(0, (1.6, 0.7), 0.6))
    glow = (
        k.palette.ramp(MOLTEN, (0.22 + 0.6 * heat).clamp(0, 1)) * heat * (0.4 + 1.5 * heat) * (0.5 + 0.7 * k.intensity)
    )
    fire = hill * stream * (0.5 + 0.9 * k.intensity) + jet * (0.7 + 1.6 * k.intensity)
    spark = summits(f, 1, 0.8)
    sparks = (
        spark.disc(0.02, 0.7)
        * step(2.0 - 0.7 * k.intensity, 2.6 - 0.7 * k.intensity, spark.height)
        * (vent + 0.2 * haze)
    )
    return Light(light, glow * ground + k.palette.flat(0.76, 0.16, 52) * (fire + sparks * 3.0 * k.intensity))


FAMILIES = {
    "sunset": Family(
        sunset, BLAZE, drift=16.0,
        phrases=(
            "sunset", "a sunset", "sundown", "afterglow", "evening sky", "a burning sky", "a red sky at night",
            "sunset over the savanna", "the setting sun", "african sunset", "a lone tree at sunset", "golden hour",
            "an orange evening", "the end of the day", "a big red sun", "sunrise",
        ),
        held_out=("nightfall", "crimson twilight"),
    ),
    "desert_dunes": Family(
        desert_dunes, SAND, drift=14.0,
        phrases=(
            "desert dunes", "desert", "sand dunes", "the sahara", "a sea of sand", "dunes", "hot desert sand",
            "wind over the dunes", "a sandstorm", "arabian desert", "ripples in the sand", "endless sand",
            "a caravan route", "dry land under the sun", "sand", "desert heat",
        ),
        held_out=("gobi", "barren sands"),
    ),
    "forest": Family(
        forest, WOOD, drift=28.0,
        phrases=(
            "forest", "woods", "trees", "light through the trees", "a deep forest", "jungle", "pine forest",
            "sun rays in the forest", "an enchanted forest", "tall trunks in the mist", "woodland", "rainforest",
            "among the trees", "a forest path", "leaves and light", "nature",
        ),
        held_out=("grove", "redwood trees"),
    ),
    "lava": Family(
        lava, MOLTEN, drift=14.0,
        phrases=(
            "lava", "volcano", "molten rock", "a river of lava", "an erupting volcano", "magma", "lava flow",
            "glowing cracks", "volcanic eruption", "burning ground", "molten earth", "a lava field",
            "a crater of fire", "the earth breaks open", "hot glowing rock", "underworld",
        ),
        held_out=("etna", "pyroclastic"),
    ),
}  # fmt: skip
