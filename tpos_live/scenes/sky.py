"""Scene families of the sky: aurora, storm, clouds, mountains."""

from __future__ import annotations

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, peaks, slope, step

CURTAIN = [(0.72, 0.12, 330), (0.82, 0.2, 158), (0.7, 0.19, 155), (0.5, 0.14, 175), (0.36, 0.14, 285), (0.2, 0.1, 310)]
NIGHT = [(0.02, 0.012, 270), (0.06, 0.03, 268), (0.13, 0.045, 262), (0.24, 0.06, 250), (0.42, 0.07, 235)]
GLOOM = [(0.04, 0.012, 280), (0.13, 0.025, 275), (0.27, 0.035, 268), (0.46, 0.04, 262), (0.72, 0.035, 255)]
DAY = [(0.42, 0.1, 258), (0.52, 0.1, 250), (0.66, 0.085, 240), (0.8, 0.06, 60), (0.92, 0.08, 75)]
CUMULUS = [(0.3, 0.045, 275), (0.48, 0.05, 285), (0.68, 0.06, 340), (0.86, 0.06, 55), (0.98, 0.03, 85)]
EVENING = [
    (0.1, 0.05, 275),
    (0.24, 0.085, 285),
    (0.44, 0.12, 330),
    (0.64, 0.15, 35),
    (0.82, 0.13, 65),
    (0.94, 0.08, 90),
]


def aurora(f: Fields, k: SceneParameters) -> Light:
    """Curtains of polar light over a dark ridge."""
    emit: torch.Tensor | float = 0.0
    for channel, high, width in ((0, -0.1, 1.0), (1, 0.22, 0.75)):
        bend = f.soft(channel, (4.0, 2.3))
        above = -(f.y + 0.1 * k.centre_y - high) * 1.7 + 0.42 * bend  # 0 on the lower hem, grows upwards
        streak = torch.exp(0.55 * f.soft(2, (5.0, 0.55)) + 0.4 * f.soft(3, (4.0, 1.2)))
        fall = step(-0.06, 0.05, above) * torch.exp(-above.clamp(min=0) * (3.6 - 1.9 * k.intensity))
        hem = torch.exp(-((above / 0.07) ** 2))
        veil = (fall * streak + 0.5 * hem) * (0.35 + 0.65 * step(-1.2, 0.8, f.soft(channel + 2, (3.0, 4.0))))
        value = (above * 0.75 + 0.08).clamp(0, 1)
        emit = emit + k.palette.ramp(CURTAIN, value) * veil * (width * (0.12 + 1.3 * k.intensity))
    ridge = f.y - 0.66 - 0.07 * f.rough(1, (6.0, 2.0), 0.6)
    land = step(-0.004, 0.012, ridge)
    sky = k.palette.ramp(NIGHT, (0.3 + 0.38 * (f.y + 1) / 2).clamp(0, 1))
    stars = peaks(f.soft(3, 0.7), 2.6) * step(0.6, 0.1, f.y)
    snow = k.palette.flat(0.2, 0.04, 200) * torch.exp(-ridge.clamp(min=0) * 5) * (0.1 + 0.35 * k.intensity)
    assert isinstance(emit, torch.Tensor)
    return Light(sky * (1 - land) + land * snow, (emit + stars * 0.9) * (1 - land))


def storm(f: Fields, k: SceneParameters) -> Light:
    """Thunderclouds lit from inside, a bolt and rain; distant at 0, overhead at 1."""
    base_y = -0.1 + 0.15 * k.centre_y
    heap = f.rough(0, (2.6, 3.8), 0.6)
    relief = slope(heap, 10, 0)
    x0 = 0.5 * k.centre_x
    kink = 0.17 * f.soft(1, (1.6, 5.0)) + 0.06 * f.soft(2, (0.7, 4.0))
    bolt_at = f.x - x0 - 0.12 * (f.y - base_y) - kink
    branch_at = f.x - x0 + 0.75 * (f.y - base_y - 0.1) - kink
    power = 0.12 + 1.25 * k.intensity
    down = step(-0.15, 0.05, f.y - base_y)
    split = step(0.05, 0.2, f.y - base_y) * step(0.75, 0.1, f.y - base_y)
    bolt = down * line(bolt_at, 0.013) + 0.4 * split * line(branch_at, 0.009)
    flash = torch.exp(-((f.x - x0) ** 2 * 2.2 + (f.y - base_y) ** 2 * 4.5))
    cover = step(0.75, -0.5, f.y - base_y - 0.18 * heap)
    value = (
        0.16
        + cover * (0.17 + 0.1 * heap - 0.3 * relief)
        + 0.45 * flash * power * (0.5 + 0.22 * heap)
        + 0.1 * step(0.0, 0.9, f.y)
    )
    clouds = k.palette.ramp(GLOOM, value.clamp(0, 1)) * (0.6 + 1.1 * flash * power)
    rain = torch.exp(0.5 * f.soft(3, (3.5, 0.5))) * step(-0.1, 0.5, f.y - base_y) * 0.045 * (0.4 + k.intensity)
    land = step(0.0, 0.02, f.y - 0.8 - 0.04 * f.rough(2, (5.0, 1.6), 0.6))
    glow = k.palette.flat(0.86, 0.07, 275) * bolt * power * 4.5 * (1 - land)
    return Light((clouds + rain * k.palette.flat(0.8, 0.03, 250)) * (1 - 0.92 * land), glow)


def clouds(f: Fields, k: SceneParameters) -> Light:
    """A sea of cumulus in low sun; thin at 0, towering at 1."""
    heap = f.rough(0, (2.6, 4.0), 0.58)
    puff = f.rough(1, (1.6, 2.0), 0.55)
    sun_x, sun_y = 0.6 * k.centre_x, -0.45 + 0.2 * k.centre_y
    cover = 0.62 * heap + 0.3 * puff + 1.0 * f.y - 0.9 + 1.9 * k.intensity
    mass = step(-0.25, 0.85, cover)
    far = torch.sqrt((f.x - sun_x) ** 2 + (f.y - sun_y) ** 2)
    lit = slope(0.75 * heap + 0.5 * puff, -8, -3) * 1.6
    near = torch.exp(-1.1 * far)
    value = 0.42 + 0.4 * lit + 0.42 * near - 0.28 * step(0.2, 1.8, cover) - 0.12 * f.y
    body = k.palette.ramp(CUMULUS, value.clamp(0, 1)) * (0.75 + 0.75 * near)
    sky = k.palette.ramp(DAY, (0.24 + 0.25 * (f.y + 1) / 2 + 0.62 * near * near).clamp(0, 1)) * 0.95
    rim = torch.exp(-(((cover + 0.08) / 0.28) ** 2)) * near
    sun = step(0.13, 0.07, far) * (1 - 0.85 * mass) + 0.5 * torch.exp(-3.0 * far)
    warm = k.palette.flat(0.94, 0.07, 80)
    return Light(torch.lerp(sky, body, mass), warm * (1.5 * sun + 0.3 * rim))


def mountains(f: Fields, k: SceneParameters) -> Light:
    """Ranges one behind the other in evening haze; embers of a sunset at 0, a blaze at 1."""
    horizon = 0.02 + 0.15 * k.centre_y
    sun_x, sun_y = 0.6 * k.centre_x, horizon - 0.16
    far = torch.sqrt((f.x - sun_x) ** 2 + (f.y - sun_y) ** 2)
    glow = torch.exp(-1.7 * far)
    streaks = f.rough(3, (0.9, 4.5), 0.6)
    up = (horizon - f.y).clamp(min=0)
    value = 0.62 - 0.55 * up + (0.14 + 0.42 * k.intensity) * glow - 0.22 * (1 - k.intensity) + 0.06 * streaks
    light = k.palette.ramp(EVENING, value.clamp(0, 1)) * (0.5 + 0.75 * k.intensity + 0.25 * streaks * glow)
    disc = step(0.125, 0.11, far) * (0.3 + 2.4 * k.intensity)
    cover: torch.Tensor | float = 1.0
    for layer in range(4):
        level = horizon - 0.02 + 0.2 * layer
        tall = 0.1 + 0.035 * layer
        crest = f.y - level + tall * f.rough(layer % 3, (9.0, 2.4 + 0.5 * layer), 0.6)
        land = step(-0.004, 0.012, crest)
        mist = torch.exp(-crest.clamp(min=0) * (4.0 + layer))
        dim = 0.5 - 0.135 * layer
        body = k.palette.ramp(EVENING, (dim + 0.2 * mist * (1 - 0.12 * layer) + 0.12 * glow).clamp(0, 1))
        light = torch.lerp(light, body * (0.3 + 0.45 * k.intensity + 0.25 * mist), land)
        cover = cover * (1 - land)
    assert isinstance(cover, torch.Tensor)
    stars = peaks(f.soft(2, 0.7), 2.6) * step(0.3, 0.9, up) * (1 - k.intensity)
    warm = k.palette.flat(0.93, 0.09, 75)
    return Light(light, cover * (disc * warm * 1.6 + stars) + 0.18 * warm * torch.exp(-5 * far) * k.intensity)


FAMILIES = {
    "aurora": Family(
        aurora, CURTAIN, drift=35.0,
        phrases=(
            "aurora", "northern lights", "aurora borealis", "polar lights", "green curtains of light",
            "arctic night sky", "lights over the snow", "southern lights", "the sky over iceland",
            "a dancing aurora", "winter night", "polar night", "ghost lights", "spirits in the sky",
            "a frozen lake under northern lights", "shimmering sky",
        ),
        held_out=("boreal glow", "polar sky"),
    ),
    "storm": Family(
        storm, GLOOM, drift=25.0,
        phrases=(
            "storm", "lightning", "thunderstorm", "a bolt of lightning", "thunder and rain", "a thunderhead",
            "dark clouds and lightning", "electric storm", "tempest", "thunder", "hurricane", "flashes of lightning",
            "lightning strikes", "thunderclouds", "a lightning strike", "a clap of thunder",
        ),
        held_out=("thunderbolt", "squall"),
    ),
    "clouds": Family(
        clouds, DAY, drift=22.0,
        phrases=(
            "clouds", "sky", "a sea of clouds", "cumulus clouds", "above the clouds", "heaven", "cloudy sky",
            "white clouds in the sun", "cirrus", "cloud tops", "flying through clouds", "a bright day", "fluffy clouds",
            "daylight", "dream", "morning sky",
        ),
        held_out=("cloudscape", "overcast"),
    ),
    "mountains": Family(
        mountains, EVENING, drift=22.0,
        phrases=(
            "mountains", "a mountain sunset", "misty mountains", "hills at dusk", "mountain range", "rocky peaks",
            "a summit", "peaks in haze", "the alps", "valley at dawn", "distant ridges", "canyon", "landscape",
            "highlands", "a mountain pass", "blue hills",
        ),
        held_out=("alpine ridge", "himalaya"),
    ),
}  # fmt: skip
