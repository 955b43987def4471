"""Building blocks of procedural sounds: event times, noise, bursts, decaying partials; mono float64 at 48 kHz."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.training.synth.synth import add, saw, seconds, shaped, tone

Signal = np.ndarray


def between(low: float, high: float, density: float) -> float:
    """Geometric interpolation from `low` at density 0 to `high` at density 1."""
    return float(low * (high / low) ** density)


def event_times(rng: np.random.Generator, rate: float, count: float) -> Signal:
    """Random times in seconds of `rate` events per second, at least one event, each within its own equal interval.

    The number of events is exact, because the density is a training target and must be audible.
    """
    number = max(round(rate * count), 1)
    return (np.arange(number) + rng.uniform(0, 1, number)) * count / number


def scatter(count: float, times: Signal, grain: Callable[[], Signal]) -> Signal:
    """`count` seconds with a grain at each of `times`, summed."""
    out = np.zeros(round(count * RATE))
    for time in times:
        add(out, grain(), int(time * RATE))
    return out


def noise(rng: np.random.Generator, count: float, low: float = 0.0, high: float = 0.0, slope: int = 4) -> Signal:
    """Noise of `count` seconds between two frequencies in Hz (0: no limit), with an RMS of 1."""
    made = shaped(rng.standard_normal(round(count * RATE)), low, high, slope)
    return made / (np.sqrt(np.mean(made**2)) + 1e-12)


def slow_noise(rng: np.random.Generator, count: float, hertz: float) -> Signal:
    """A random curve from 0 to 1 with `hertz` points per second, linearly interpolated."""
    points = max(int(count * hertz) + 3, 4)
    curve = np.interp(np.linspace(0, points - 1, round(count * RATE)), np.arange(points), rng.uniform(0, 1, points))
    return curve


def burst(rng: np.random.Generator, count: float, decay: float, low: float, high: float) -> Signal:
    """Noise between two frequencies in Hz that decays to 1/e in `decay` seconds."""
    time = seconds(count)
    return shaped(rng.standard_normal(len(time)), low, high) * np.exp(-time / decay)


def ring(time: Signal, partials: list[tuple[float, float, float]]) -> Signal:
    """A sum of decaying sines; partials: (frequency in Hz, amplitude, decay to 1/e in seconds)."""
    waves = [gain * np.sin(2 * np.pi * hertz * time) * np.exp(-time / decay) for hertz, gain, decay in partials]
    return np.sum(waves, axis=0)


def drone(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Sustained saw voices over a low root; with the density there are more, and the sound is brighter."""
    root = rng.uniform(28, 43)
    voices = 1 + round(7 * density)
    notes = [root + step for step in (0, 12, 7, 19, 24, 15, 31, 36)[:voices]]
    time = seconds(count)
    parts = [
        saw(tone(note), count, rng.uniform()) / (1 + i) * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * time))
        for i, note in enumerate(notes)
    ]
    return shaped(np.sum(parts, axis=0), 25, between(250, 1500, density), 2)
