"""Procedural sounds with an exact density: the amount of rain, the number of bubbles, the speed of drums.

Each kind is a function of a random generator, a density from 0 to 1 and a length in seconds, and returns mono float64
at 48 kHz at any level. `make` brings all to the same loudness, so that the density does not depend on the level. Their
texts are phrases of Ember's scenes and moods where Ember has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.training.synth.grains import Signal, between, burst, drone, event_times, noise, ring, scatter, slow_noise
from tpos_live.training.synth.mood_music import bright, calm, dark, driving, piano
from tpos_live.training.synth.synth import hat, kick, loudness, seconds, shaped, snare

Kind = Callable[[np.random.Generator, float, float], Signal]
LUFS = -23.0
"""Loudness of every sound that `make` gives (EBU R 128)."""


def make(text: str, density: float, count: float, seed: int) -> Signal:
    """float32 [n] at -23 LUFS: `count` seconds of the kind `text` at a density of 0 to 1."""
    return levelled(KINDS[text](np.random.default_rng(seed), float(density), count))


def levelled(sound: Signal) -> Signal:
    """The sound scaled to -23 LUFS, float32 [n]."""
    level = loudness(np.repeat(sound[:, None], 2, axis=1))
    if np.isfinite(level):
        sound = sound * 10 ** ((LUFS - level) / 20)
    else:
        sound = sound * (0.05 / (np.sqrt(np.mean(sound**2)) + 1e-9))
    return np.clip(sound, -4.0, 4.0).astype(np.float32)


def rain(rng: np.random.Generator, density: float, count: float) -> Signal:
    drops = [burst(rng, 0.03, rng.uniform(0.002, 0.006), rng.uniform(800, 4000), 14000) for _ in range(24)]
    falling = event_times(rng, between(12, 700, density), count)
    hiss = noise(rng, count, 900, 12000) * 0.02 * between(1, 8, density)
    return hiss + scatter(count, falling, lambda: drops[rng.integers(24)] * rng.gamma(2.0, 0.4))


def wind(rng: np.random.Generator, density: float, count: float) -> Signal:
    gusts = 0.25 + slow_noise(rng, count, between(0.3, 2.5, density)) ** 2
    low = noise(rng, count, 60, between(250, 700, density))
    whistle = noise(rng, count, between(300, 900, density), between(500, 1600, density), 8)
    return low * gusts + density * whistle * gusts**2


def fire(rng: np.random.Generator, density: float, count: float) -> Signal:
    cracks = [
        burst(rng, 0.06, rng.uniform(0.001, 0.01), rng.uniform(300, 1500), rng.uniform(3000, 12000)) for _ in range(24)
    ]
    rumble = noise(rng, count, 40, 400) * (0.03 + 0.02 * slow_noise(rng, count, 4))
    roar = noise(rng, count, 200, 3000) * 0.015
    bursts = event_times(rng, between(1.5, 60, density), count)
    return rumble + roar + scatter(count, bursts, lambda: cracks[rng.integers(24)] * rng.gamma(1.0, 0.7))


def waves(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count)
    period = between(7.0, 1.8, density)
    swell = (0.5 - 0.5 * np.cos(2 * np.pi * (time / period + rng.uniform()))) ** 2
    water = noise(rng, count, 100, between(900, 5000, density), 2)
    foam = noise(rng, count, 2000, 12000)
    return water * (0.15 + swell) + 0.4 * foam * swell**2


def thunder(rng: np.random.Generator, density: float, count: float) -> Signal:
    def strike() -> Signal:
        length = round(rng.uniform(1.5, 3.0), 1)
        time = seconds(length)
        body = shaped(rng.standard_normal(len(time)), 25, rng.uniform(120, 400), 2) * np.exp(-time / (length / 3))
        crack = burst(rng, length, 0.05, 300, 5000) * rng.uniform(0, 0.6)
        return body * 3 * (0.4 + slow_noise(rng, length, 9))[: len(time)] + crack

    pool = [strike() for _ in range(4)]
    strikes = scatter(count, event_times(rng, between(0.3, 3.0, density), count), lambda: pool[rng.integers(4)])
    return strikes + 0.01 * noise(rng, count, 30, 200)


def explosions(rng: np.random.Generator, density: float, count: float) -> Signal:
    def blast() -> Signal:
        time = seconds(1.2)
        thump = np.sin(2 * np.pi * (40 * time + 4 * (1 - np.exp(-time / 0.05)))) * np.exp(-time / 0.25)
        return thump + 1.5 * burst(rng, 1.2, rng.uniform(0.1, 0.35), 30, rng.uniform(1500, 7000))

    return scatter(count, event_times(rng, between(0.5, 6.0, density), count), blast)


def bubbles(rng: np.random.Generator, density: float, count: float) -> Signal:
    def blub() -> Signal:
        length = rng.uniform(0.03, 0.12)
        time = seconds(length)
        start = rng.uniform(250, 1400)
        phase = start * time + start * rng.uniform(1, 5) * time**2
        return np.sin(2 * np.pi * phase) * np.sin(np.pi * time / length) * rng.gamma(2.0, 0.4)

    return scatter(count, event_times(rng, between(1.5, 60, density), count), blub) + 0.02 * noise(rng, count, 80, 600)


def engine(rng: np.random.Generator, density: float, count: float) -> Signal:
    hertz = between(18, 140, density) * rng.uniform(0.9, 1.1)
    wobble = 1 + 0.02 * (slow_noise(rng, count, 6) - 0.5)
    phase = np.cumsum(hertz * wobble) / RATE
    pulses = np.exp(-6 * (phase % 1.0)) - 0.16
    return shaped(pulses, 30, between(900, 4000, density), 2) + 0.08 * noise(rng, count, 200, 3000) * (0.5 + pulses)


def bells(rng: np.random.Generator, density: float, count: float) -> Signal:
    scale = rng.uniform(350, 900) * 2 ** (np.array([0, 2, 4, 7, 9, 12]) / 12)

    def bell() -> Signal:
        base = scale[rng.integers(6)]
        ratios = (
            (0.5, 0.4, 1.6),
            (1.0, 1.0, 1.2),
            (1.19, 0.5, 0.8),
            (2.0, 0.5, 0.7),
            (2.74, 0.4, 0.4),
            (4.1, 0.2, 0.2),
        )
        return ring(seconds(1.8), [(base * r, g, d) for r, g, d in ratios]) * rng.uniform(0.4, 1.0)

    pool = [bell() for _ in range(8)]
    return scatter(count, event_times(rng, between(0.6, 9, density), count), lambda: pool[rng.integers(8)])


def drums(rng: np.random.Generator, density: float, count: float) -> Signal:
    kit = [kick(rng), snare(rng), hat(rng, 0.03), snare(rng) * 0.5]
    steps = np.arange(0, count, 1 / between(1.5, 14, density))
    turn = iter(range(len(steps) + 1))
    order = rng.permutation(4)
    return scatter(count, steps, lambda: kit[order[next(turn) % 4]] * rng.uniform(0.6, 1.0))


def riser(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count) / count
    air = rng.standard_normal(len(time))
    speed = between(0.5, 4.0, density)
    bands = [
        shaped(air, 250 * 2.0**band, 500 * 2.0**band, 6) * np.clip(1 - abs(5 * time - band), 0, 1) for band in range(6)
    ]
    flutter = 1 + 0.8 * np.sign(np.sin(2 * np.pi * np.cumsum(speed * (1 + 3 * time)) * count / len(time)))
    return np.sum(bands, axis=0) * (0.1 + time) * flutter


def crowd(rng: np.random.Generator, density: float, count: float) -> Signal:
    out = np.zeros(round(count * RATE))
    for _ in range(round(between(1, 14, density))):
        pitch = rng.uniform(90, 260)
        glide = pitch * (1 + 0.25 * (slow_noise(rng, count, 4) - 0.5))
        voice = np.exp(-8 * ((np.cumsum(glide) / RATE) % 1.0)) - 0.12
        vowel = rng.uniform(400, 900)
        talk = np.clip(slow_noise(rng, count, 6) - 0.35, 0, 1)
        out += (shaped(voice, vowel, vowel * 1.5, 6) + 0.5 * shaped(voice, 1200, 2600, 6)) * talk
    return out


def applause(rng: np.random.Generator, density: float, count: float) -> Signal:
    claps = [
        burst(rng, 0.04, rng.uniform(0.004, 0.012), rng.uniform(500, 900), rng.uniform(2000, 5000)) for _ in range(16)
    ]
    return scatter(
        count, event_times(rng, between(4, 300, density), count), lambda: claps[rng.integers(16)] * rng.gamma(3, 0.3)
    )


def birds(rng: np.random.Generator, density: float, count: float) -> Signal:
    def chirp() -> Signal:
        length = rng.uniform(0.05, 0.16)
        time = seconds(length)
        start, bend = rng.uniform(2500, 6000), rng.uniform(-12000, 12000)
        trill = 300 * np.sin(2 * np.pi * rng.uniform(20, 50) * time)
        return np.sin(2 * np.pi * (start * time + bend * time**2 / 2 + trill * time)) * np.sin(np.pi * time / length)

    return scatter(count, event_times(rng, between(1, 25, density), count), chirp) + 0.004 * noise(
        rng, count, 200, 5000
    )


def insects(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count)
    out = 0.02 * noise(rng, count, 2000, 9000)
    for voice in range(10):
        rate, strength = rng.uniform(18, 40), np.clip(1 + 9 * density - voice, 0, 1)
        pulse = np.clip(np.sin(2 * np.pi * (rate * time + rng.uniform())), 0, 1) * (slow_noise(rng, count, 2) > 0.35)
        out += strength * np.sin(2 * np.pi * rng.uniform(3500, 6500) * time) * pulse
    return out


def siren(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count)
    rate = between(0.25, 5.0, density)
    pitch = rng.uniform(600, 900) * (1 + 0.4 * np.sin(2 * np.pi * rate * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)


def stream(rng: np.random.Generator, density: float, count: float) -> Signal:
    return bubbles(rng, 0.3 + 0.7 * density, count) * 0.3 + noise(rng, count, 300, 6000, 2) * between(
        0.03, 0.5, density
    )


def sparks(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count)
    hum = np.sign(np.sin(2 * np.pi * 50 * time)) * 0.05
    snaps = [burst(rng, 0.05, rng.uniform(0.002, 0.012), 2500, 16000) for _ in range(12)]
    zaps = event_times(rng, between(1.5, 70, density), count)
    return shaped(hum, 40, 4000, 2) + scatter(count, zaps, lambda: snaps[rng.integers(12)] * rng.gamma(2, 0.4))


KINDS: dict[str, Kind] = {
    "rain": rain,
    "wind": wind,
    "fire": fire,
    "ocean waves": waves,
    "thunder": thunder,
    "explosion": explosions,
    "bubbles under water": bubbles,
    "engine": engine,
    "bells": bells,
    "drums": drums,
    "deep space": drone,
    "warp speed": riser,
    "crowd of people": crowd,
    "applause": applause,
    "birds": birds,
    "insects at night": insects,
    "siren": siren,
    "stream": stream,
    "electricity": sparks,
    "calm": calm,
    "energetic": driving,
    "dark": dark,
    "bright": bright,
    "piano music": piano,
}
"""Functions by text. The drone stands for "deep space", the riser for "warp speed"."""


def library(variants: int, seed: int, kinds: Iterable[str] = ()) -> list[tuple[str, float, int]]:
    """A list of sounds to make: text, density and seed of `variants` sounds of each kind (by default of KINDS), with
    evenly spread densities."""
    rng = np.random.default_rng(seed)
    plan = []
    for text in kinds or KINDS:
        densities = (np.arange(variants) + rng.uniform(0, 1, variants)) / variants
        plan += [(text, float(density), int(rng.integers(2**31))) for density in densities]
    return plan
