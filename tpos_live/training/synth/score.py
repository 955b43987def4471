"""Writes the notes of synthetic music: patterns for pads, basses, guitars and drums over a chord sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

KICK, SNARE, CLAP, HAT, OPEN, RIDE, CRASH, TOM, SHAKER, CONGA = 36, 38, 39, 42, 46, 51, 49, 45, 70, 63
"""Note numbers of General MIDI drums."""
BUSY = [0.55, 0.35, 0.08, 0.02]
"""Probabilities of notes of 0.5, 1, 1.5 and 2 beats in a busy melody."""


@dataclass
class Score:
    """The score of a piece. beat: seconds of a beat; beats: length; root: MIDI note of the tonic; scale: its 7 steps in
    semitones; chords: degrees of the scale, one for each bar of four beats; busy: density, 0 to 1."""

    rng: np.random.Generator
    beat: float
    beats: float
    root: int
    scale: Sequence[int]
    chords: Sequence[int]
    busy: float
    notes: list[tuple[float, float, int, float]] = field(default_factory=list)
    """Notes of the current part: (start in beats, length in beats, MIDI note, velocity 0 to 1)."""

    def pitch(self, degree: int, octave: int = 0) -> int:
        """MIDI note of a degree of the scale; degrees below 0 and above 6 are in other octaves."""
        return self.root + 12 * octave + self.scale[degree % 7] + 12 * (degree // 7)

    def chord(self, beat: float) -> int:
        return self.chords[int(beat // 4) % len(self.chords)]

    def add(self, when: float, long: float, note: int, loud: float) -> None:
        if when < self.beats:
            human = self.rng.normal(0, 0.008)
            self.notes.append((max(when + human, 0.0), long, int(np.clip(note, 20, 108)), float(np.clip(loud, 0, 1))))

    def struck(self, pattern: str) -> Iterator[float]:
        """The beats where `pattern`, one character for each sixteenth, has an x."""
        return (n / 4 for n in range(int(self.beats * 4)) if pattern[n % len(pattern)] == "x")


Role = Callable[[Score], None]


def pads(octave: int = 0, voices: int = 3, swell: float = 4.0, loud: float = 0.6) -> Role:
    """Held chords of `swell` beats."""

    def write(score: Score) -> None:
        for beat in np.arange(0, score.beats, swell):
            for voice in range(voices):
                score.add(beat, swell * 1.05, score.pitch(score.chord(beat) + 2 * voice, octave), loud)

    return write


def arpeggio(octave: int = 1, step: float = 0.25, loud: float = 0.6, gate: float = 0.9) -> Role:
    """The notes of the chord one after another, at half speed in scores that are not busy."""

    def write(score: Score) -> None:
        pattern = score.rng.permutation([0, 2, 4, 7, 9, 4, 2, 7])
        pace = step * (2 if score.busy < 0.3 else 1)
        for n, beat in enumerate(np.arange(0, score.beats, pace)):
            note = score.pitch(score.chord(beat) + int(pattern[n % 8]), octave)
            score.add(beat, pace * gate, note, loud * score.rng.uniform(0.75, 1.1))

    return write


def sparse(octave: int = 1, rate: float = 0.5, loud: float = 0.5, long: float = 3.0) -> Role:
    """Single notes at random times: `rate` to twice `rate` per beat, by density."""

    def write(score: Score) -> None:
        beat = score.rng.uniform(0, 1)
        while beat < score.beats:
            degree = score.chord(beat) + int(score.rng.choice([0, 2, 4, 7, 6]))
            score.add(beat, long, score.pitch(degree, octave), loud * score.rng.uniform(0.6, 1.0))
            beat += score.rng.exponential(1 / (rate * (1 + score.busy)))

    return write


def melody(octave: int = 1, loud: float = 0.75) -> Role:
    """A melody in small steps of the scale, mostly in half and whole beats."""

    def write(score: Score) -> None:
        beat, degree = 0.0, int(score.rng.integers(0, 7))
        while beat < score.beats:
            often = [0.25 + 0.3 * score.busy, 0.4, 0.15, 0.2 - 0.3 * score.busy] if score.busy < 0.6 else BUSY
            long = float(score.rng.choice([0.5, 1.0, 1.5, 2.0], p=often))
            degree += int(score.rng.choice([-2, -1, 1, 2, 0, -3, 4]))
            degree = int(np.clip(degree, -3, 9))
            if score.rng.random() < 0.88:
                score.add(beat, long * 0.95, score.pitch(degree, octave), loud * score.rng.uniform(0.8, 1.1))
            beat += long

    return write


def bass(pattern: str = "x.x.x.x.x.x.x.x.", octave: int = -2, leaps: bool = False, loud: float = 0.85) -> Role:
    """Roots on the sixteenths of `pattern`; leaps: to the fifth and the octave as well."""

    def write(score: Score) -> None:
        for beat in score.struck(pattern):
            degree = score.chord(beat) + (int(score.rng.choice([0, 0, 4, 7])) if leaps else 0)
            score.add(beat, 0.24 if "xx" in pattern else 0.45, score.pitch(degree, octave), loud)

    return write


def walking() -> Role:
    """A walking bass, one note on each beat."""

    def write(score: Score) -> None:
        degree = 0
        for beat in range(int(score.beats)):
            degree = score.chord(beat) if beat % 4 == 0 else degree + int(score.rng.choice([-1, 1, 2]))
            score.add(beat, 0.9, score.pitch(degree, -2), 0.8)

    return write


def stabs(pattern: str = "..x...x...x...x.", octave: int = 0, loud: float = 0.7, long: float = 0.3) -> Role:
    """Short chords on the sixteenths of `pattern`."""

    def write(score: Score) -> None:
        for beat in score.struck(pattern):
            for voice in (0, 2, 4):
                score.add(beat, long, score.pitch(score.chord(beat) + voice, octave), loud)

    return write


def strum(octave: int = 0, step: float = 0.5, loud: float = 0.7) -> Role:
    """Strummed guitar chords: the strings sound 0.03 beats apart."""

    def write(score: Score) -> None:
        for n, beat in enumerate(np.arange(0, score.beats, step * (2 if score.busy < 0.35 else 1))):
            strings = (0, 4, 7, 9, 11) if n % 2 == 0 else (11, 9, 7)
            for k, degree in enumerate(strings):
                score.add(beat + 0.03 * k, step * 1.5, score.pitch(score.chord(beat) + degree, octave - 1), loud)

    return write


def chugs(octave: int = -2) -> Role:
    """Power chords of an electric guitar: palm-muted sixteenths and some sustained chords."""

    def write(score: Score) -> None:
        gallop = str(score.rng.choice(["x.xxx.xxx.xxx.xx", "xxxxxxxxxxxxxxxx", "x..xx..xx.x.x..x", "x...x...x.x.x..."]))
        for beat in score.struck(gallop):
            root = score.pitch(score.chord(beat), octave)
            for note in (root, root + 7, root + 12):
                score.add(beat, 0.22 if beat % 2 else 1.2, note, 0.85)

    return write


def drums(loud: float = 0.9, **lines: str) -> Role:
    """Drum patterns in sixteenths, for kick, snare, clap, hat, open, ride, crash, tom, shaker, conga: x is a hit, o is
    a hit with the probability `busy`."""
    keys = {"kick": KICK, "snare": SNARE, "clap": CLAP, "hat": HAT, "open": OPEN, "ride": RIDE, "crash": CRASH,
            "tom": TOM, "shaker": SHAKER, "conga": CONGA}  # fmt: skip

    def write(score: Score) -> None:
        for name, line in lines.items():
            for n in range(int(score.beats * 4)):
                mark = line[n % len(line)]
                if mark == "x" or (mark == "o" and score.rng.random() < score.busy):
                    accent = 1.0 if n % 4 == 0 else 0.8
                    score.add(n / 4, 0.2, keys[name], loud * accent * score.rng.uniform(0.85, 1.05))

    return write
