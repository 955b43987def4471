"""Procedural sounds with an exact density: how much rain, how many bubbles, how busy the drums.

Each kind is a function of a generator, a density from 0 to 1 and a length in seconds, and gives mono float64 at
48 kHz of any level; `make` brings them all to one loudness, so that density is never a matter of level. Their texts
are those of Ember's scenes and moods where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.training.synth.synth import faded, hat, kick, loudness, pad, pluck, saw, seconds, shaped, snare, tone

Signal = np.ndarray
Kind = Callable[[np.random.Generator, float, float], Signal]
LUFS = -23.0
"""Loudness of every sound that `make` gives (EBU R 128)."""


def make(text: str, density: float, count: float, seed: int) -> Signal:
    """float32 [n] at -23 LUFS: `count` seconds of the kind `text` at a density of 0 to 1."""
    return levelled(KINDS[text](np.random.default_rng(seed), float(density), count))


def levelled(sound: Signal) -> Signal:
    """float32 [n] at -23 LUFS, of a sound of any level."""
    level = loudness(np.repeat(sound[:, None], 2, axis=1))
    if np.isfinite(level):
        sound = sound * 10 ** ((LUFS - level) / 20)
    else:
        sound = sound * (0.05 / (np.sqrt(np.mean(sound**2)) + 1e-9))
    return np.clip(sound, -4.0, 4.0).astype(np.float32)


def _between(low: float, high: float, density: float) -> float:
    """From `low` at density 0 to `high` at 1, in equal ratios."""
    return float(low * (high / low) ** density)


def _times(rng: np.random.Generator, rate: float, count: float) -> Signal:
    """Moments in seconds of events, `rate` a second and one at least, each somewhere in its own share of the time.

    Their number is no matter of luck: a density that cannot be heard cannot be learned either.
    """
    number = max(round(rate * count), 1)
    return (np.arange(number) + rng.uniform(0, 1, number)) * count / number


def _scatter(count: float, times: Signal, grain: Callable[[], Signal]) -> Signal:
    """The sum of grains, each begun at its time."""
    out = np.zeros(round(count * RATE))
    for time in times:
        at = int(time * RATE)
        one = grain()[: len(out) - at]
        out[at : at + len(one)] += one
    return out


def _noise(rng: np.random.Generator, count: float, low: float = 0.0, high: float = 0.0, slope: int = 4) -> Signal:
    made = shaped(rng.standard_normal(round(count * RATE)), low, high, slope)
    return made / (np.sqrt(np.mean(made**2)) + 1e-12)


def _slow(rng: np.random.Generator, count: float, hertz: float) -> Signal:
    """A random curve of 0 to 1 that changes `hertz` times a second."""
    points = max(int(count * hertz) + 3, 4)
    curve = np.interp(np.linspace(0, points - 1, round(count * RATE)), np.arange(points), rng.uniform(0, 1, points))
    return curve


def _burst(rng: np.random.Generator, count: float, decay: float, low: float, high: float) -> Signal:
    time = seconds(count)
    return shaped(rng.standard_normal(len(time)), low, high) * np.exp(-time / decay)


def _ring(time: Signal, partials: list[tuple[float, float, float]]) -> Signal:
    """Decaying sines: frequency, strength, decay in seconds of each."""
    waves = [gain * np.sin(2 * np.pi * hertz * time) * np.exp(-time / decay) for hertz, gain, decay in partials]
    return np.sum(waves, axis=0)


def rain(rng: np.random.Generator, density: float, count: float) -> Signal:
    drops = [_burst(rng, 0.03, rng.uniform(0.002, 0.006), rng.uniform(800, 4000), 14000) for _ in range(24)]
    falling = _times(rng, _between(12, 700, density), count)
    hiss = _noise(rng, count, 900, 12000) * 0.02 * _between(1, 8, density)
    return hiss + _scatter(count, falling, lambda: drops[rng.integers(24)] * rng.gamma(2.0, 0.4))


def wind(rng: np.random.Generator, density: float, count: float) -> Signal:
    gusts = 0.25 + _slow(rng, count, _between(0.3, 2.5, density)) ** 2
    low = _noise(rng, count, 60, _between(250, 700, density))
    whistle = _noise(rng, count, _between(300, 900, density), _between(500, 1600, density), 8)
    return low * gusts + density * whistle * gusts**2


def fire(rng: np.random.Generator, density: float, count: float) -> Signal:
    cracks = [
        _burst(rng, 0.06, rng.uniform(0.001, 0.01), rng.uniform(300, 1500), rng.uniform(3000, 12000)) for _ in range(24)
    ]
    rumble = _noise(rng, count, 40, 400) * (0.03 + 0.02 * _slow(rng, count, 4))
    roar = _noise(rng, count, 200, 3000) * 0.015
    bursts = _times(rng, _between(1.5, 60, density), count)
    return rumble + roar + _scatter(count, bursts, lambda: cracks[rng.integers(24)] * rng.gamma(1.0, 0.7))


def waves(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count)
    period = _between(7.0, 1.8, density)
    swell = (0.5 - 0.5 * np.cos(2 * np.pi * (time / period + rng.uniform()))) ** 2
    water = _noise(rng, count, 100, _between(900, 5000, density), 2)
    foam = _noise(rng, count, 2000, 12000)
    return water * (0.15 + swell) + 0.4 * foam * swell**2


def thunder(rng: np.random.Generator, density: float, count: float) -> Signal:
    def strike() -> Signal:
        length = round(rng.uniform(1.5, 3.0), 1)
        time = seconds(length)
        body = shaped(rng.standard_normal(len(time)), 25, rng.uniform(120, 400), 2) * np.exp(-time / (length / 3))
        crack = _burst(rng, length, 0.05, 300, 5000) * rng.uniform(0, 0.6)
        return body * 3 * (0.4 + _slow(rng, length, 9))[: len(time)] + crack

    pool = [strike() for _ in range(4)]
    strikes = _scatter(count, _times(rng, _between(0.3, 3.0, density), count), lambda: pool[rng.integers(4)])
    return strikes + 0.01 * _noise(rng, count, 30, 200)


def explosions(rng: np.random.Generator, density: float, count: float) -> Signal:
    def blast() -> Signal:
        time = seconds(1.2)
        thump = np.sin(2 * np.pi * (40 * time + 4 * (1 - np.exp(-time / 0.05)))) * np.exp(-time / 0.25)
        return thump + 1.5 * _burst(rng, 1.2, rng.uniform(0.1, 0.35), 30, rng.uniform(1500, 7000))

    return _scatter(count, _times(rng, _between(0.5, 6.0, density), count), blast)


def bubbles(rng: np.random.Generator, density: float, count: float) -> Signal:
    def blub() -> Signal:
        length = rng.uniform(0.03, 0.12)
        time = seconds(length)
        start = rng.uniform(250, 1400)
        phase = start * time + start * rng.uniform(1, 5) * time**2
        return np.sin(2 * np.pi * phase) * np.sin(np.pi * time / length) * rng.gamma(2.0, 0.4)

    return _scatter(count, _times(rng, _between(1.5, 60, density), count), blub) + 0.02 * _noise(rng, count, 80, 600)


def engine(rng: np.random.Generator, density: float, count: float) -> Signal:
    hertz = _between(18, 140, density) * rng.uniform(0.9, 1.1)
    wobble = 1 + 0.02 * (_slow(rng, count, 6) - 0.5)
    phase = np.cumsum(hertz * wobble) / RATE
    pulses = np.exp(-6 * (phase % 1.0)) - 0.16
    return shaped(pulses, 30, _between(900, 4000, density), 2) + 0.08 * _noise(rng, count, 200, 3000) * (0.5 + pulses)


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
        return _ring(seconds(1.8), [(base * r, g, d) for r, g, d in ratios]) * rng.uniform(0.4, 1.0)

    pool = [bell() for _ in range(8)]
    return _scatter(count, _times(rng, _between(0.6, 9, density), count), lambda: pool[rng.integers(8)])


def drums(rng: np.random.Generator, density: float, count: float) -> Signal:
    kit = [kick(rng), snare(rng), hat(rng, 0.03), snare(rng) * 0.5]
    steps = np.arange(0, count, 1 / _between(1.5, 14, density))
    turn = iter(range(len(steps) + 1))
    order = rng.permutation(4)
    return _scatter(count, steps, lambda: kit[order[next(turn) % 4]] * rng.uniform(0.6, 1.0))


def drone(rng: np.random.Generator, density: float, count: float) -> Signal:
    root = rng.uniform(28, 43)
    voices = 1 + round(7 * density)
    notes = [root + step for step in (0, 12, 7, 19, 24, 15, 31, 36)[:voices]]
    time = seconds(count)
    parts = [
        saw(tone(note), count, rng.uniform()) / (1 + i) * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * time))
        for i, note in enumerate(notes)
    ]
    return shaped(np.sum(parts, axis=0), 25, _between(250, 1500, density), 2)


def riser(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count) / count
    air = rng.standard_normal(len(time))
    speed = _between(0.5, 4.0, density)
    bands = [
        shaped(air, 250 * 2.0**band, 500 * 2.0**band, 6) * np.clip(1 - abs(5 * time - band), 0, 1) for band in range(6)
    ]
    flutter = 1 + 0.8 * np.sign(np.sin(2 * np.pi * np.cumsum(speed * (1 + 3 * time)) * count / len(time)))
    return np.sum(bands, axis=0) * (0.1 + time) * flutter


def crowd(rng: np.random.Generator, density: float, count: float) -> Signal:
    out = np.zeros(round(count * RATE))
    for _ in range(round(_between(1, 14, density))):
        pitch = rng.uniform(90, 260)
        glide = pitch * (1 + 0.25 * (_slow(rng, count, 4) - 0.5))
        voice = np.exp(-8 * ((np.cumsum(glide) / RATE) % 1.0)) - 0.12
        vowel = rng.uniform(400, 900)
        talk = np.clip(_slow(rng, count, 6) - 0.35, 0, 1)
        out += (shaped(voice, vowel, vowel * 1.5, 6) + 0.5 * shaped(voice, 1200, 2600, 6)) * talk
    return out


def applause(rng: np.random.Generator, density: float, count: float) -> Signal:
    claps = [
        _burst(rng, 0.04, rng.uniform(0.004, 0.012), rng.uniform(500, 900), rng.uniform(2000, 5000)) for _ in range(16)
    ]
    return _scatter(
        count, _times(rng, _between(4, 300, density), count), lambda: claps[rng.integers(16)] * rng.gamma(3, 0.3)
    )


def birds(rng: np.random.Generator, density: float, count: float) -> Signal:
    def chirp() -> Signal:
        length = rng.uniform(0.05, 0.16)
        time = seconds(length)
        start, bend = rng.uniform(2500, 6000), rng.uniform(-12000, 12000)
        trill = 300 * np.sin(2 * np.pi * rng.uniform(20, 50) * time)
        return np.sin(2 * np.pi * (start * time + bend * time**2 / 2 + trill * time)) * np.sin(np.pi * time / length)

    return _scatter(count, _times(rng, _between(1, 25, density), count), chirp) + 0.004 * _noise(rng, count, 200, 5000)


def insects(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count)
    out = 0.02 * _noise(rng, count, 2000, 9000)
    for voice in range(10):
        rate, strength = rng.uniform(18, 40), np.clip(1 + 9 * density - voice, 0, 1)
        pulse = np.clip(np.sin(2 * np.pi * (rate * time + rng.uniform())), 0, 1) * (_slow(rng, count, 2) > 0.35)
        out += strength * np.sin(2 * np.pi * rng.uniform(3500, 6500) * time) * pulse
    return out


def siren(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count)
    rate = _between(0.25, 5.0, density)
    pitch = rng.uniform(600, 900) * (1 + 0.4 * np.sin(2 * np.pi * rate * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)


def stream(rng: np.random.Generator, density: float, count: float) -> Signal:
    return bubbles(rng, 0.3 + 0.7 * density, count) * 0.3 + _noise(rng, count, 300, 6000, 2) * _between(
        0.03, 0.5, density
    )


def sparks(rng: np.random.Generator, density: float, count: float) -> Signal:
    time = seconds(count)
    hum = np.sign(np.sin(2 * np.pi * 50 * time)) * 0.05
    snaps = [_burst(rng, 0.05, rng.uniform(0.002, 0.012), 2500, 16000) for _ in range(12)]
    zaps = _times(rng, _between(1.5, 70, density), count)
    return shaped(hum, 40, 4000, 2) + _scatter(count, zaps, lambda: snaps[rng.integers(12)] * rng.gamma(2, 0.4))


def _chord(rng: np.random.Generator, minor: bool) -> list[int]:
    return [0, 3 if minor else 4, 7, 12, 14 if rng.random() < 0.5 else 15 if minor else 16]


def calm(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Pads, a few soft plucks; slow."""
    root = int(rng.integers(50, 60))
    chord = _chord(rng, bool(rng.random() < 0.4))
    length = count / 2
    pads = [
        np.sum([pad(root + n + shift, length, 0.003, rng.uniform()) for n in chord[:3]], axis=0) for shift in (0, 5)
    ]
    bed = shaped(np.concatenate(pads)[: round(count * RATE)], 60, rng.uniform(500, 1100), 2)
    times = _times(rng, _between(0.4, 4, density), count)
    return 0.5 * bed + _scatter(count, times, lambda: 0.5 * pluck(root + chord[rng.integers(5)] + 12, 0.1))


def driving(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Four on the floor, hats, a bass that runs; the faster the denser."""
    beat = 60 / _between(105, 175, density)
    thump, tick, crack = kick(rng), hat(rng, 0.03), snare(rng)
    root = int(rng.integers(33, 42))
    grid = np.arange(0, count, beat / 2)
    bass = [pluck(root + int(rng.choice([0, 0, 0, 3, 7, 12])), 0.7, 0.4) for _ in range(8)]
    turn = iter(range(len(grid) + 1))
    out = _scatter(count, np.arange(0, count, beat), lambda: thump)
    out += _scatter(count, np.arange(beat, count, 2 * beat), lambda: 0.6 * crack)
    out += _scatter(count, np.arange(beat / 2, count, beat / (2 if density > 0.5 else 1)), lambda: 0.35 * tick)
    return out + _scatter(count, grid, lambda: 0.5 * bass[next(turn) % 8])


def dark(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Low and minor: a drone under slow low notes, no light in it."""
    root = int(rng.integers(31, 40))
    bed = shaped(drone(rng, 0.3, count), 25, 500, 4)
    low = [pad(root + n, 1.2, 0.006, rng.uniform()) for n in (0, 1, 3, 6)]
    times = _times(rng, _between(0.5, 5, density), count)
    hits = _scatter(count, times, lambda: shaped(low[rng.integers(4)], 25, 700, 4))
    return bed + 0.6 * hits + 0.05 * _noise(rng, count, 30, 300)


def bright(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Major arpeggios, high and open, with light percussion."""
    root = int(rng.integers(60, 70))
    chord = _chord(rng, False)
    notes = [pluck(root + n + shift, 1.0, 0.6) for n in chord for shift in (0, 12)]
    times = np.arange(0, count, 1 / _between(2.5, 14, density))
    tick = hat(rng, 0.05)
    out = _scatter(count, times, lambda: notes[rng.integers(len(notes))])
    bed = pad(root, count, 0.004, 0.2) + pad(root + 4, count, 0.004, 0.6)
    return out + 0.25 * _scatter(count, times[::2], lambda: tick) + 0.15 * shaped(bed, 300, 5000)


def piano(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Struck strings alone: music without electricity."""
    scale = rng.integers(45, 55) + np.array([0, 2, 3, 5, 7, 8, 10, 12, 14, 15, 19, 24])

    def note() -> Signal:
        hertz = tone(float(scale[rng.integers(12)]))
        partials = [(hertz * n * (1 + 4e-4 * n * n), 1 / n**1.3, 1.3 / n**0.6) for n in range(1, 9)]
        return faded(_ring(seconds(1.6), partials), 0.002, 0.1) * rng.uniform(0.3, 1.0)

    pool = [note() for _ in range(10)]
    return _scatter(count, _times(rng, _between(1, 14, density), count), lambda: pool[rng.integers(10)])


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
"""Text to sound. A drone is what space sounds like; a riser flies through the tunnel."""


def library(variants: int, seed: int, kinds: Iterable[str] = ()) -> list[tuple[str, float, int]]:
    """What to make: text, density and seed of `variants` sounds of each kind (by default of KINDS), densities spread
    evenly."""
    rng = np.random.default_rng(seed)
    plan = []
    for text in kinds or KINDS:
        densities = (np.arange(variants) + rng.uniform(0, 1, variants)) / variants
        plan += [(text, float(density), int(rng.integers(2**31))) for density in densities]
    return plan
