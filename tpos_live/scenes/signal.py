"""Scene families of electronic signals: circuit, waveform, glitch."""

from __future__ import annotations

import math

import torch

from tpos_live.scenes.base import Family, Light, SceneParameters
from tpos_live.scenes.noise_fields import Fields, line, step
from tpos_live.scenes.palettes import CLUB, SPOTLIGHTS

BOARD = [(0.03, 0.015, 200), (0.1, 0.035, 190), (0.19, 0.06, 180), (0.32, 0.09, 172), (0.5, 0.1, 165)]
PULSE = [(0.3, 0.08, 170), (0.58, 0.14, 165), (0.8, 0.15, 170), (0.95, 0.06, 150)]
VOICE = [(0.1, 0.08, 275), (0.32, 0.17, 285), (0.55, 0.21, 320), (0.72, 0.18, 10), (0.88, 0.12, 60)]
SCREEN = [(0.03, 0.02, 280), (0.16, 0.1, 285), (0.34, 0.17, 300), (0.55, 0.2, 345), (0.75, 0.15, 30), (0.93, 0.06, 95)]


def circuit(f: Fields, k: SceneParameters) -> Light:
    """A circuit board with traces around a chip; the noise closes and opens the traces, pulses move outwards with
    `phase`."""
    chip_x, chip_y = -0.2 + 0.4 * k.centre_x, 0.1 + 0.3 * k.centre_y
    x, y = f.x - chip_x, f.y - chip_y
    out = torch.maximum(x.abs(), y.abs())
    away = torch.sqrt(x * x + y * y)
    cover = f.rough(3, (3.0, 3.0), 0.55)
    value = 0.2 + 0.05 * cover + 0.14 * torch.exp(-1.6 * away)
    light = k.palette.ramp(BOARD, value.clamp(0, 1)) * (0.5 + 0.7 * torch.exp(-1.2 * away))
    copper, live = _traces(f, k, chip_x, chip_y)
    free = step(0.3, 0.33, out)
    light = light + k.palette.ramp(
        PULSE, (0.1 + 0.25 * copper * torch.exp(-away)).clamp(0, 1)
    ) * copper * 0.5 * free * torch.exp(-1.1 * away)
    light, heat = _chip(k, x, y, light)
    fade = torch.exp(-(1.2 - 0.6 * k.intensity) * away)
    glow = (
        k.palette.ramp(PULSE, (0.42 + 0.3 * live * fade).clamp(0, 1)) * live * fade * free * (0.5 + 2.6 * k.intensity)
    )
    return Light(light, glow + heat * k.palette.flat(0.78, 0.15, 60))


def _traces(
    f: Fields, k: SceneParameters, chip_x: torch.Tensor, chip_y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two grids of traces and pads: masks of the copper and of the pulses on it, 0 to 1."""
    x, y = f.x - chip_x, f.y - chip_y
    out = torch.maximum(x.abs(), y.abs())
    away = torch.sqrt(x * x + y * y)
    copper = live = torch.zeros_like(f.x)
    drive = 1.1 * k.intensity - 0.35
    for pitch, channel, width, power in ((0.125, 1, 0.011, 0.55), (0.25, 0, 0.016, 1.0)):
        u, v = f.x / pitch, f.y / pitch
        col, row = torch.round(u), torch.round(v)
        middle_u, middle_v = torch.floor(u) + 0.5, torch.floor(v) + 0.5
        slant = 1 - 2 * ((torch.floor(u) + torch.floor(v)) % 2)
        # (distance to the trace, the middle of its segment): across, down and slanting.
        traces = (
            ((v - row).abs(), middle_u, row),
            ((u - col).abs(), col, middle_v),
            (((u - middle_u) + slant * (v - middle_v)).abs() * 0.707, middle_u, middle_v),
        )
        for bias, (distance, at_u, at_v) in zip(
            (0.65, 0.65, 1.0) if pitch < 0.2 else (0.25, 0.25, 0.8), traces, strict=True
        ):
            at_x, at_y = at_u * pitch, at_v * pitch
            path = f.at(channel, 0.6, at_x, at_y)
            there = step(bias, bias + 0.25, path)
            flow = torch.maximum((at_x - chip_x).abs(), (at_y - chip_y).abs())
            beat = 0.5 + 0.5 * torch.cos(5 * out - k.phase)
            on = torch.sigmoid(3.0 * (f.soft(2, 2.2) + 3.0 * drive - 0.9 * flow + 0.6))
            body = step(width * 2.1, width * 1.2, distance * pitch) * there
            copper = torch.maximum(copper, body * power)
            live = live + line(distance * pitch, width * 0.8) * there * on * (0.2 + 1.8 * beat**4) * power
        pad = torch.sqrt((u - col) ** 2 + (v - row) ** 2) * pitch
        ring = step(0.35, 0.6, f.at(3 - channel, 0.6, col * pitch, row * pitch)) * power
        copper = torch.maximum(copper, ring * step(0.034, 0.026, pad))
        live = live + 0.8 * ring * torch.exp(-((pad / 0.016) ** 2)) * torch.sigmoid(
            3 * (f.soft(2, 2.2) + 3 * drive - away)
        )
    return copper, live


def _chip(
    k: SceneParameters, x: torch.Tensor, y: torch.Tensor, light: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The board's light with the chip on it, a dark slab with pins and a lit edge, and the glow of its die."""
    out = torch.maximum(x.abs(), y.abs())
    side = torch.minimum(x.abs(), y.abs())
    pins = (
        step(0.28, 0.3, out)
        * step(0.38, 0.36, out)
        * step(-0.2, 0.3, torch.cos(side * math.tau / 0.0625))
        * step(0.27, 0.25, side)
    )
    slab = step(0.295, 0.28, out)
    face = k.palette.ramp(BOARD, (0.12 - 0.06 * (x + y)).clamp(0, 1)) * 0.7
    light = torch.lerp(
        light * (1 - 0.6 * step(0.45, 0.28, torch.maximum((x - 0.04).abs(), (y - 0.05).abs()))), face, slab
    )
    light = light + pins * k.palette.flat(0.6, 0.06, 90) * 0.4
    die = step(0.15, 0.14, out) * (0.6 + 0.4 * torch.cos(math.tau * x / 0.07) * torch.cos(math.tau * y / 0.07))
    heat = die * (0.15 + 1.3 * k.intensity) * (0.8 + 0.2 * torch.cos(k.phase)) + line(out - 0.28, 0.01) * (
        0.1 + 0.6 * k.intensity
    )
    return light, heat


def waveform(f: Fields, k: SceneParameters) -> Light:
    """A waveform in strands of light above its mirror image; small at 0, large at 1."""
    axis = -0.12 + 0.3 * k.centre_y
    x = f.x - 0.3 * k.centre_x
    envelope = torch.exp(-((x / (0.55 + 0.45 * k.intensity)) ** 2) * 1.2)
    slow = f.soft(0, (12.0, 2.0))
    quick = f.soft(1, (12.0, 0.9))
    swing = 0.75 * slow + 0.35 * quick * (0.3 + 0.9 * k.intensity) + 0.35 * torch.sin(5 * x - k.phase)
    swing = 1.3 * torch.tanh(swing / 1.3)
    loud = (0.07 + 0.42 * k.intensity) * envelope
    y = f.y - axis
    floor = step(0.44, 0.47, y)
    height = torch.where(y > 0.455, 0.91 - y, y)  # the floor mirrors what stands on it
    emit: torch.Tensor | float = 0.0
    strands = 7
    for index in range(strands):
        share = 1 - 2 * index / (strands - 1)
        sway = share * swing + 0.3 * (1 - abs(share)) * f.soft(2, (12.0, 1.6))
        path = height - loud * sway - 0.02 * share
        tilt = torch.sqrt(1 + (4.0 * loud * swing) ** 2 * 0.3)
        strand = line(path, (0.009 + 0.004 * abs(share)) * tilt)
        veil = torch.exp(-((path / (0.05 + 0.1 * loud)) ** 2)) * 0.1
        tone = 0.5 + 0.38 * share * torch.sign(swing) * swing.abs().clamp(max=1) + 0.12 * torch.sin(2 * x)
        power = (0.4 + 0.6 * abs(share)) * (0.35 + 0.65 * envelope)
        emit = emit + k.palette.ramp(VOICE, tone.clamp(0.15, 1)) * (strand + veil) * power
    assert isinstance(emit, torch.Tensor)
    dark = k.palette.ramp(
        CLUB, (0.3 + 0.32 * torch.exp(-((y / 0.5) ** 2)) * envelope + 0.06 * f.rough(3, (2.5, 4.0))).clamp(0, 1)
    )
    ripple = 0.75 + 0.35 * f.soft(3, (0.6, 2.2))
    mirror = (1 - floor) + floor * 0.35 * ripple.clamp(0.3) * torch.exp(-1.6 * (y - 0.455).clamp(min=0))
    edge = torch.exp(-(((y - 0.455) / 0.03) ** 2)) * envelope * 0.1
    core = line(height, 0.006) * envelope * 0.25 * (1 - floor)
    glow = emit * mirror * (0.45 + 1.3 * k.intensity) + (core + edge) * k.palette.flat(0.85, 0.1, 330)
    return Light(dark * (1 - 0.35 * floor), glow)


def glitch(f: Fields, k: SceneParameters) -> Light:
    """A broken broadcast of a moon: bands shift sideways, colours separate, blocks freeze; few at 0, many at 1."""
    tear = f.at(0, (0.5, 9.0), torch.zeros_like(f.x), _stairs(f.y, 16))
    slip = f.at(1, (1.2, 9.0), torch.zeros_like(f.x), _stairs(f.y, 5))
    calm = step(0.9 - 1.1 * k.intensity, 1.9 - 1.1 * k.intensity, tear.abs()) * torch.sign(tear)
    shift = (0.05 + 0.36 * k.intensity) * calm + 0.2 * k.intensity * step(0.3, 1.2, slip.abs()) * torch.sign(slip)
    block_x, block_y = _stairs(f.x, 8), _stairs(f.y, 8)
    stuck = step(1.35 - 0.75 * k.intensity, 1.6 - 0.75 * k.intensity, f.at(2, 0.8, block_x, block_y))
    shift = shift + stuck * 0.3 * f.at(3, 1.0, block_x, block_y)
    part = (0.012 + 0.05 * k.intensity) * (1 + calm.abs() + stuck)
    channels = []
    for side in (-1.0, 0.0, 1.0):
        x = f.x - shift - side * part
        channels.append(_broadcast(f, k, x)[:, int(side) + 1 : int(side) + 2])
    image = torch.cat(channels, 1)
    scan = 0.88 + 0.12 * torch.cos(f.y * math.tau * 21.0)
    roll = 1 + 0.35 * torch.cos(math.pi * f.y - k.phase) * (0.3 + 0.7 * k.intensity)
    hot = stuck * step(0.4, 1.4, f.at(0, 0.8, block_x, block_y)) + 0.4 * calm.abs() * step(
        0.5, 1.5, f.soft(3, (0.5, 3.0))
    )
    flash = (
        k.palette.ramp(SPOTLIGHTS, (0.5 + 0.5 * f.at(1, 1.0, block_x, block_y)).clamp(0, 1))
        * hot
        * (0.2 + 0.9 * k.intensity)
    )
    light = image * scan * roll
    return Light(light * 0.8, light * 0.25 + flash * scan)


def _stairs(value: torch.Tensor, steps: int) -> torch.Tensor:
    """Each value quantised to the middle of its step, with `steps` steps per unit."""
    return (torch.floor(value * steps) + 0.5) / steps


def _broadcast(f: Fields, k: SceneParameters, x: torch.Tensor) -> torch.Tensor:
    """The image before the glitches: a banded moon over a sea of noise."""
    away = torch.sqrt((x + 0.18 - 0.4 * k.centre_x) ** 2 + (f.y + 0.12 - 0.3 * k.centre_y) ** 2)
    moon = step(0.52, 0.505, away)
    cloud = f.rough(2, (1.6, 3.6), 0.6)
    face = 0.62 + 0.3 * (0.3 - f.y + 0.4 * x) + 0.1 * cloud
    sky = 0.27 - 0.14 * f.y.abs() + 0.04 * cloud + 0.25 * torch.exp(-3.0 * (away - 0.5).clamp(min=0))
    horizon = f.y - 0.45
    sea = step(0.0, 0.02, horizon)
    wave = (
        0.22
        + 0.25 * torch.exp(-((x + 0.18) ** 2) * 6) * (0.5 + 0.5 * torch.cos(26 * horizon.clamp(min=0) ** 0.6 - k.phase))
        + 0.05 * cloud
    )
    value = torch.lerp(torch.lerp(sky, face, moon), wave, sea)
    return k.palette.ramp(SCREEN, value.clamp(0, 1)) * (0.6 + 0.9 * moon * (1 - sea)) * (0.65 + 0.6 * k.intensity)


FAMILIES = {
    "circuit": Family(
        circuit, PULSE, drift=60.0,
        phrases=(
            "circuit", "a circuit board", "electronics", "a microchip", "printed circuit", "computer chip",
            "motherboard", "glowing traces", "data flowing through a chip", "processor", "silicon", "technology",
            "digital brain", "wires and chips", "inside a computer", "artificial intelligence",
        ),
        held_out=("semiconductor", "mainboard"),
    ),
    "waveform": Family(
        waveform, VOICE, drift=60.0,
        phrases=(
            "waveform", "a sound wave", "oscilloscope", "audio waveform", "sound made visible", "voice print",
            "music waves", "frequency", "vibrating strings of light", "sine waves", "equalizer", "audio signal",
            "vibrations", "bass waves", "strands of sound", "melody",
        ),
        held_out=("acoustic signal", "oscillation"),
    ),
    "glitch": Family(
        glitch, SCREEN, drift=60.0,
        phrases=(
            "glitch", "a glitch", "datamosh", "broken television", "digital error", "corrupted video", "vhs",
            "static noise", "scan lines", "bad signal", "pixel sorting", "a crashing screen", "distorted broadcast",
            "error", "broken pixels", "analog video",
        ),
        held_out=("interference", "corrupted file"),
    ),
}  # fmt: skip
