"""Synthetic music of known kind and mood: random scores played by a General MIDI soundfont, for training.

Most input of a show is music, and the label "music" alone is too coarse. Each style is a tempo range, a harmony and
some parts; density, mode and tempo are random. So kind and mood of each piece are known exactly, and no recordings are
needed. The soundfont (for example FluidR3 GM, MIT licence) has the instruments; half of the drum parts of electronic
styles use our own synthesiser instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.core.errors import first_line
from tpos_live.training.errors import DataError
from tpos_live.training.synth.score import CLAP, HAT, KICK, OPEN, SNARE, Score
from tpos_live.training.synth.styles import DRUMS, STYLES, Part
from tpos_live.training.synth.synth import add, hat, kick, seconds, shaped, snare

Signal = np.ndarray


@dataclass(frozen=True)
class Song:
    """sound: float64 [n] at 48 kHz, at any level. energy: -1 calm to 1 driving; light: -1 dark to 1 bright."""

    sound: Signal
    energy: float
    light: float


@cache
def open_soundfont(soundfont: Path) -> Any:
    """A synthesiser with the soundfont loaded, and the soundfont's number; cached. Raises DataError."""
    try:
        from tinysoundfont import Synth
    except ImportError as error:
        raise DataError("synthetic music needs tinysoundfont: pip install --no-deps tinysoundfont") from error
    synth = Synth(samplerate=RATE)
    try:
        return synth, synth.sfload(str(soundfont))
    except Exception as error:
        raise DataError(f"{soundfont} is not a soundfont ({first_line(error)}); give a .sf2 or .sf3 file") from error


def song(style: str, density: float, count: float, seed: int, soundfont: Path) -> Song:
    """`count` seconds of a style; density (0 to 1) sets how many notes there are and, partly, the tempo. Raises
    DataError for a soundfont that cannot be read."""
    rng, made = np.random.default_rng(seed), STYLES[style]
    low, high = made.tempo
    beat = 60 / (low + (high - low) * np.clip(0.5 * density + 0.5 * rng.random(), 0, 1))
    minor = bool(rng.random() < made.minor)
    score = Score(
        rng, beat, count / beat, int(rng.integers(*made.root)), made.scales[minor],
        made.chords[int(rng.integers(len(made.chords)))], density,
    )  # fmt: skip
    out = np.zeros(round(count * RATE))
    beats: list[float] = []
    for part in made.parts:
        if rng.random() >= part.chance:
            continue
        score.notes = []
        part.write(score)
        played = _played(part, score, count, soundfont)
        if part.bank == DRUMS:
            beats += [when * beat for when, _, note, _ in score.notes if note == KICK]
        elif made.duck and beats:
            played = played * _ducking(beats, len(played))
        out += part.gain * played
    energy = np.clip(made.energy + 0.4 * (density - 0.5), -1, 1)
    light = np.clip(made.light + (-0.25 if minor else 0.25), -1, 1)
    return Song(out, float(energy), float(light))


def _played(part: Part, score: Score, count: float, soundfont: Path) -> Signal:
    """One part, mono, with an RMS of about 0.1 before its filters and reverb."""
    rng, total = score.rng, round(count * RATE)
    own = part.own and rng.random() < 0.5
    sound = _own_drums(score, total) if own else _sampled(part, score, total, soundfont)
    sound = _even(sound)
    if part.drive:
        sound = _even(np.tanh(3 * part.drive * sound))
    if part.low or part.high:
        sound = shaped(sound, part.low, part.high * rng.uniform(0.7, 1.4), 4)
    if part.wet:
        sound = (1 - part.wet) * sound + part.wet * _room(sound, rng, rng.uniform(0.5, 1.5) + 3 * part.wet)
    return sound


def _even(sound: Signal) -> Signal:
    """Scale to an RMS of 0.1."""
    return np.asarray(sound * 0.1 / (np.sqrt(np.mean(sound**2)) + 1e-9))


def _sampled(part: Part, score: Score, total: int, soundfont: Path) -> Signal:
    synth, font = open_soundfont(soundfont)
    program = int(score.rng.choice(part.programs))
    try:
        synth.program_select(0, font, part.bank, program, part.bank == DRUMS)
    except RuntimeError as error:
        raise DataError(f"{soundfont} has no instrument {program}; a General MIDI soundfont has") from error
    turns = []
    for when, long, note, loud in score.notes:
        at = int(when * score.beat * RATE)
        turns += [(at, 1, note, loud), (at + max(int(long * score.beat * RATE), 240), 0, note, 0.0)]
    out, at = np.zeros(total), 0
    for moment, on, note, loud in [*sorted(turns), (total, 0, 0, 0.0)]:
        end = min(moment, total)
        if end > at:
            block = np.frombuffer(bytes(synth.generate(end - at)), np.float32).reshape(-1, 2)
            out[at:end], at = block.mean(axis=1), end
        if at >= total:
            break
        if on:
            synth.noteon(0, note, int(1 + 126 * loud))
        else:
            synth.noteoff(0, note)
    synth.sounds_off(0)
    synth.generate(4800)
    return out


def _own_drums(score: Score, total: int) -> Signal:
    rng, out = score.rng, np.zeros(total)
    kit = {
        KICK: kick(rng),
        SNARE: 0.7 * snare(rng),
        CLAP: 0.6 * snare(rng),
        HAT: 0.4 * hat(rng, 0.03),
        OPEN: 0.4 * hat(rng, 0.09),
    }
    for when, _, note, loud in score.notes:
        add(out, loud * kit.get(note, 0.25 * kit[HAT]), int(when * score.beat * RATE))
    return out


def _ducking(beats: Sequence[float], total: int) -> Signal:
    """Sidechain gain for the other parts: 0.3 at each kick, nearly 1 again after 0.2 s."""
    time, gain = seconds(total / RATE)[:total], np.ones(total)
    for beat in beats:
        gain = np.minimum(gain, np.where(time >= beat, 1 - 0.7 * np.exp(-(time - beat) / 0.08), 1.0))
    return gain


def _room(sound: Signal, rng: np.random.Generator, decay: float) -> Signal:
    """Reverb only, at the level of `sound`: convolution with noise that decays by 60 dB in 2 * `decay` seconds."""
    time = seconds(min(2 * decay, 4.0))
    answer = np.zeros(_quick(len(time)))
    answer[: len(time)] = rng.standard_normal(len(time)) * np.exp(-6.9 * time / decay / 2)
    size = _quick(len(sound) + len(answer))
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(shaped(answer, 150, 5000), size), size)[: len(sound)]
    return wet * np.sqrt(np.mean(sound**2) / (np.mean(wet**2) + 1e-12))


def _quick(count: int) -> int:
    """The next length from `count` on that is fast for an FFT: 8 to 16 times a power of two."""
    step = 1 << max(count.bit_length() - 4, 0)
    return -(-count // step) * step
