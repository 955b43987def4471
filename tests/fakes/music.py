"""Small synthetic music for the tests, with the truth known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 48_000


def place(track: np.ndarray, sound: np.ndarray, seconds: float) -> None:
    """Add `sound` to `track` at a time, cut at the end."""
    start = round(seconds * RATE)
    part = sound[: max(track.size - start, 0)]
    track[start : start + part.size] += part


def kick(level: float = 0.7) -> np.ndarray:
    t = np.arange(int(0.25 * RATE)) / RATE
    phase = 2 * np.pi * (48 * t + 110 * 0.03 * (1 - np.exp(-t / 0.03)))
    return level * np.sin(phase) * np.exp(-t / 0.09) * np.minimum(t / 0.001, 1.0)


def snare(rng: np.random.Generator, level: float = 0.4) -> np.ndarray:
    t = np.arange(int(0.2 * RATE)) / RATE
    body = np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.05)
    return level * (body + rng.normal(0, 0.5, t.size) * np.exp(-t / 0.06))


def hat(rng: np.random.Generator, level: float = 0.15, length: float = 0.03) -> np.ndarray:
    t = np.arange(int(0.1 * RATE)) / RATE
    noise = np.diff(rng.normal(0, 1, t.size + 1))
    return level * noise * np.exp(-t / length)


def four_on_the_floor(bpm: float, seconds: float, first: float = 0.3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """float32 [n] of kicks, off-beat hats, claps on 2 and 4 and a bass line; and the true beats in seconds."""
    rng = np.random.default_rng(seed)
    track = rng.normal(0, 0.0003, int(seconds * RATE))
    beats = np.arange(first, seconds - 0.1, 60.0 / bpm)
    for index, beat in enumerate(beats):
        place(track, kick(), beat)
        place(track, hat(rng), beat + 30.0 / bpm)
        if index % 2:
            place(track, snare(rng, 0.25), beat)
        t = np.arange(int(15.0 / bpm * RATE)) / RATE
        note = 0.12 * np.sin(2 * np.pi * (55, 65)[index % 2] * t) * np.minimum(1, np.minimum(t, t[-1] - t) / 0.01)
        place(track, note, beat + 30.0 / bpm)
    return track.astype(np.float32), beats


PATTERNS = {
    "four on the floor": ("x...x...x...x...", "....x.......x...", "..x...x...x...x."),
    "rock": ("x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x."),
    "breakbeat": ("x.x.......xx....", "....x..o.o..x..o", "x.x.x.x.x.x.x.x."),
    "half-time": ("x.........x.....", "........x.......", "x.x.x.x.x.x.x.x."),
    "3-3-2": ("x..x..x.x..x..x.", "....x.......x...", "x.x.x.x.x.x.x.x."),
    "swing": ("x.....x.....", "...x.....x..", "x..x.xx..x.x"),
    "off-beat hats": ("x...x...x...x...", "................", "..x...x...x...x."),
}
"""One bar of 4/4 each: kick, snare, hats on a grid of sixteenths, or of triplets for swing; o is a soft stroke."""


@dataclass(frozen=True)
class Groove:
    """sound: float32 [n] at 48 kHz. All else: times in seconds."""

    sound: np.ndarray
    beats: np.ndarray
    downbeats: np.ndarray
    kicks: np.ndarray
    snares: np.ndarray
    hats: np.ndarray


def groove(
    pattern: str, bpm: float, seconds: float, first: float = 0.2, seed: int = 1, loose: float = 0.002, bass: bool = True
) -> Groove:
    """A pattern played by hands: strokes `loose` seconds (one standard deviation) beside the grid, 15 % louder or
    softer, over a bass that changes its note with the bar and a soft chord."""
    rng = np.random.default_rng(seed)
    rows = PATTERNS[pattern]
    bar = 240.0 / bpm
    bars = int(np.ceil(seconds / bar))
    track = rng.normal(0, 0.0005, int(seconds * RATE))
    kit = ([kick()], [snare(rng) for _ in range(3)], [hat(rng) for _ in range(4)])
    strokes: list[list[float]] = [[], [], []]
    for index in range(bars):
        for row, sounds, times in zip(rows, kit, strokes, strict=True):
            for step, mark in enumerate(row):
                at = first + (index + step / len(row)) * bar + rng.normal(0, loose)
                if mark != "." and at < seconds - 0.05:
                    place(
                        track,
                        (0.3 if mark == "o" else 1.0) * rng.normal(1.0, 0.15) * sounds[rng.integers(len(sounds))],
                        at,
                    )
                    times.append(at)
        if bass:
            _accompany(track, first + index * bar, bar, (55.0, 41.2, 49.0, 36.7)[index % 4])
    grid = first + np.arange(4 * bars) * bar / 4
    grid = grid[grid < seconds - 0.05]
    return Groove(track.astype(np.float32), grid, grid[::4], *(np.array(sorted(times)) for times in strokes))


def _accompany(track: np.ndarray, start: float, bar: float, hertz: float) -> None:
    t = np.arange(int(0.98 * bar * RATE)) / RATE
    fade = np.minimum(1.0, np.minimum(t, t[-1] - t) / 0.02)
    chord = sum(np.sin(2 * np.pi * hertz * ratio * t) for ratio in (4.0, 4.76, 6.0, 8.0))
    place(track, 0.015 * chord * fade, start)
    note = t[: int(0.2 * bar * RATE)]
    for step in (0, 3, 6, 10):
        shape = np.minimum(1.0, np.minimum(note, note[-1] - note) / 0.01)
        place(track, 0.1 * np.sin(2 * np.pi * hertz * note) * shape, start + step * bar / 16)
