"""Small synthetic music for the tests, with the truth known."""

from __future__ import annotations

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
