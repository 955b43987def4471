"""Procedural music with a given mood and an exact density: calm, driving, dark, bright, and solo piano."""

from __future__ import annotations

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.training.synth.grains import Signal, between, drone, event_times, noise, ring, scatter
from tpos_live.training.synth.synth import faded, hat, kick, pad, pluck, seconds, shaped, snare, tone


def _chord(rng: np.random.Generator, minor: bool) -> list[int]:
    return [0, 3 if minor else 4, 7, 12, 14 if rng.random() < 0.5 else 15 if minor else 16]


def calm(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Slow pads and a few soft plucks."""
    root = int(rng.integers(50, 60))
    chord = _chord(rng, bool(rng.random() < 0.4))
    length = count / 2
    pads = [
        np.sum([pad(root + n + shift, length, 0.003, rng.uniform()) for n in chord[:3]], axis=0) for shift in (0, 5)
    ]
    bed = shaped(np.concatenate(pads)[: round(count * RATE)], 60, rng.uniform(500, 1100), 2)
    times = event_times(rng, between(0.4, 4, density), count)
    return 0.5 * bed + scatter(count, times, lambda: 0.5 * pluck(root + chord[rng.integers(5)] + 12, 0.1))


def driving(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Four on the floor, hats and a running bass; the density sets the tempo."""
    beat = 60 / between(105, 175, density)
    thump, tick, crack = kick(rng), hat(rng, 0.03), snare(rng)
    root = int(rng.integers(33, 42))
    grid = np.arange(0, count, beat / 2)
    bass = [pluck(root + int(rng.choice([0, 0, 0, 3, 7, 12])), 0.7, 0.4) for _ in range(8)]
    turn = iter(range(len(grid) + 1))
    out = scatter(count, np.arange(0, count, beat), lambda: thump)
    out += scatter(count, np.arange(beat, count, 2 * beat), lambda: 0.6 * crack)
    out += scatter(count, np.arange(beat / 2, count, beat / (2 if density > 0.5 else 1)), lambda: 0.35 * tick)
    return out + scatter(count, grid, lambda: 0.5 * bass[next(turn) % 8])


def dark(rng: np.random.Generator, density: float, count: float) -> Signal:
    """A drone and slow low notes in minor, without high frequencies."""
    root = int(rng.integers(31, 40))
    bed = shaped(drone(rng, 0.3, count), 25, 500, 4)
    low = [pad(root + n, 1.2, 0.006, rng.uniform()) for n in (0, 1, 3, 6)]
    times = event_times(rng, between(0.5, 5, density), count)
    hits = scatter(count, times, lambda: shaped(low[rng.integers(4)], 25, 700, 4))
    return bed + 0.6 * hits + 0.05 * noise(rng, count, 30, 300)


def bright(rng: np.random.Generator, density: float, count: float) -> Signal:
    """High major arpeggios with light percussion."""
    root = int(rng.integers(60, 70))
    chord = _chord(rng, False)
    notes = [pluck(root + n + shift, 1.0, 0.6) for n in chord for shift in (0, 12)]
    times = np.arange(0, count, 1 / between(2.5, 14, density))
    tick = hat(rng, 0.05)
    out = scatter(count, times, lambda: notes[rng.integers(len(notes))])
    bed = pad(root, count, 0.004, 0.2) + pad(root + 4, count, 0.004, 0.6)
    return out + 0.25 * scatter(count, times[::2], lambda: tick) + 0.15 * shaped(bed, 300, 5000)


def piano(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Solo piano: slightly inharmonic decaying partials."""
    scale = rng.integers(45, 55) + np.array([0, 2, 3, 5, 7, 8, 10, 12, 14, 15, 19, 24])

    def note() -> Signal:
        hertz = tone(float(scale[rng.integers(12)]))
        partials = [(hertz * n * (1 + 4e-4 * n * n), 1 / n**1.3, 1.3 / n**0.6) for n in range(1, 9)]
        return faded(ring(seconds(1.6), partials), 0.002, 0.1) * rng.uniform(0.3, 1.0)

    pool = [note() for _ in range(10)]
    return scatter(count, event_times(rng, between(1, 14, density), count), lambda: pool[rng.integers(10)])
