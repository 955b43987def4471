"""What procedural sounds are made of: events in time, noise, bursts and ringing partials; mono float64 at 48 kHz."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.training.synth.synth import add, saw, seconds, shaped, tone

Signal = np.ndarray


def between(low: float, high: float, density: float) -> float:
    """From `low` at density 0 to `high` at 1, in equal ratios."""
    return float(low * (high / low) ** density)


def event_times(rng: np.random.Generator, rate: float, count: float) -> Signal:
    """Moments in seconds of events, `rate` a second and one at least, each somewhere in its own share of the time.

    Their number is no matter of luck: a density that cannot be heard cannot be learned either.
    """
    number = max(round(rate * count), 1)
    return (np.arange(number) + rng.uniform(0, 1, number)) * count / number


def scatter(count: float, times: Signal, grain: Callable[[], Signal]) -> Signal:
    """The sum of grains, each begun at its time."""
    out = np.zeros(round(count * RATE))
    for time in times:
        add(out, grain(), int(time * RATE))
    return out


def noise(rng: np.random.Generator, count: float, low: float = 0.0, high: float = 0.0, slope: int = 4) -> Signal:
    """Noise of `count` seconds between two frequencies in hertz; 0 leaves a side open."""
    made = shaped(rng.standard_normal(round(count * RATE)), low, high, slope)
    return made / (np.sqrt(np.mean(made**2)) + 1e-12)


def slow_noise(rng: np.random.Generator, count: float, hertz: float) -> Signal:
    """A random curve of 0 to 1 that changes `hertz` times a second."""
    points = max(int(count * hertz) + 3, 4)
    curve = np.interp(np.linspace(0, points - 1, round(count * RATE)), np.arange(points), rng.uniform(0, 1, points))
    return curve


def burst(rng: np.random.Generator, count: float, decay: float, low: float, high: float) -> Signal:
    """Noise between two frequencies in hertz that decays within `decay` seconds to 1/e."""
    time = seconds(count)
    return shaped(rng.standard_normal(len(time)), low, high) * np.exp(-time / decay)


def ring(time: Signal, partials: list[tuple[float, float, float]]) -> Signal:
    """Decaying sines: frequency, strength, decay in seconds of each."""
    waves = [gain * np.sin(2 * np.pi * hertz * time) * np.exp(-time / decay) for hertz, gain, decay in partials]
    return np.sum(waves, axis=0)


def drone(rng: np.random.Generator, density: float, count: float) -> Signal:
    """Steady voices over a low root; more of them, and brighter, with the density."""
    root = rng.uniform(28, 43)
    voices = 1 + round(7 * density)
    notes = [root + step for step in (0, 12, 7, 19, 24, 15, 31, 36)[:voices]]
    time = seconds(count)
    parts = [
        saw(tone(note), count, rng.uniform()) / (1 + i) * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * time))
        for i, note in enumerate(notes)
    ]
    return shaped(np.sum(parts, axis=0), 25, between(250, 1500, density), 2)
