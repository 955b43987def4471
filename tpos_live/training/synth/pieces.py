"""Short random pieces of music for evaluation, all different but with the same tempo and beat grid.

Tempo and grid are the same on purpose: a video that follows only the beat then fits all pieces equally well.
"""

from __future__ import annotations

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.training.synth import synth

TEMPO = 120.0
BAR = 240.0 / TEMPO
STEPS = 16
LEVEL = 0.16
"""RMS of a piece: about -14 LUFS."""
_KICKS = (
    "x...x...x...x...",
    "x.......x.x.....",
    "x.x.......xx....",
    "x..x..x.x..x..x.",
    "x.........x.....",
    "x..x......x..x..",
)
_SNARES = ("....x.......x...", "........x.......", "....x..x.x..x...", "............x...", "....x.......x.x.")
_HATS = (
    "x.x.x.x.x.x.x.x.",
    "..x...x...x...x.",
    "xxxxxxxxxxxxxxxx",
    "x..x..x.x..x..x.",
    "x...x...x...x...",
    "................",
)
_SCALE = (0, 2, 3, 5, 7, 8, 10)


def piece(seed: int, bars: int) -> np.ndarray:
    """`bars` bars of music at TEMPO, float32 [n, 2] at 48 kHz; rhythm, breaks, chords, bass and melody by `seed`."""
    rng = np.random.default_rng((seed, 120))
    track = np.zeros((round(bars * BAR * RATE), 2))
    root = int(rng.integers(28, 40))
    swing = float(rng.choice([0.0, 0.0, 0.33])) * BAR / STEPS
    breaks = set(rng.choice(bars, size=min(int(rng.integers(0, 3)), bars), replace=False).tolist())
    _drums(track, rng, bars, swing, breaks)
    _bass(track, rng, bars, swing, root)
    _chords(track, rng, bars, root)
    _melody(track, rng, bars, swing, root)
    return np.tanh(track * (LEVEL / np.sqrt((track**2).mean()))).astype(np.float32)


def _drums(track: np.ndarray, rng: np.random.Generator, bars: int, swing: float, breaks: set[int]) -> None:
    kit: tuple[tuple[list[np.ndarray], tuple[str, ...], float, set[int]], ...] = (
        ([synth.kick(rng)], _KICKS, 0.75, breaks),
        ([synth.snare(rng)], _SNARES, 0.6, breaks if rng.random() < 0.5 else set()),
        ([synth.hat(rng, float(rng.uniform(0.02, 0.09))) for _ in range(3)], _HATS, 0.45, set()),
    )
    change = float(rng.uniform(0.02, 0.12))
    for sounds, patterns, gain, silent in kit:
        pattern = np.array([mark == "x" for mark in str(rng.choice(patterns))])
        for bar in range(bars):
            played = pattern ^ (rng.random(STEPS) < change)
            if bar in silent:
                continue
            for step in np.flatnonzero(played):
                sound = sounds[int(rng.integers(len(sounds)))]
                _place(track, sound, bar, int(step), swing, gain * float(rng.uniform(0.5, 1.0)), rng)


def _bass(track: np.ndarray, rng: np.random.Generator, bars: int, swing: float, root: int) -> None:
    steps = np.flatnonzero(rng.random(STEPS) < rng.uniform(0.05, 0.5))
    length = float(rng.uniform(0.8, 3.0)) * BAR / STEPS
    notes = root + 12 + rng.choice([0, 0, 0, 7, 10, 12], len(steps))
    sounds = {int(note): synth.bass(float(note), length) for note in set(notes.tolist())}
    for bar in range(bars):
        for step, note in zip(steps, notes, strict=True):
            _place(track, sounds[int(note)], bar, int(step), swing, 0.35, rng)


def _chords(track: np.ndarray, rng: np.random.Generator, bars: int, root: int) -> None:
    level, top = float(rng.uniform(0.0, 0.09)), float(rng.uniform(700, 6000))
    for bar in range(bars):
        degree = int(rng.integers(len(_SCALE)))
        for third in (0, 2, 4):
            midi = root + 24 + _SCALE[(degree + third) % 7]
            voice = synth.shaped(synth.pad(midi, BAR, 0.004, 0.3 * third), 150, top)
            _place(track, voice, bar, 0, 0.0, level, rng)


def _melody(track: np.ndarray, rng: np.random.Generator, bars: int, swing: float, root: int) -> None:
    density, bright = float(rng.uniform(0.0, 0.35)), float(rng.random())
    for bar in range(bars):
        for step in np.flatnonzero(rng.random(STEPS) < density):
            midi = root + 36 + _SCALE[int(rng.integers(7))]
            _place(track, synth.pluck(midi, bright), bar, int(step), swing, 0.2, rng)


def _place(
    track: np.ndarray,
    sound: np.ndarray,
    bar: int,
    step: int,
    swing: float,
    gain: float,
    rng: np.random.Generator,
) -> None:
    """Add a sound at a step of a bar; every second step is `swing` seconds late, each with about 3 ms of jitter."""
    at = (bar + step / STEPS) * BAR + swing * (step % 2) + abs(float(rng.normal(0, 0.003)))
    pan = float(rng.uniform(-0.3, 0.3))
    synth.add(track, sound[:, None] * (gain * np.array([1 - pan, 1 + pan])), round(at * RATE))
