"""The bundled demo track, 24 bars at 128 BPM, synthesised, and a JSON file with its beats, drum hits and sections.

`python -m tpos_live.training.synth.demo_track` writes `demo.ogg` and `demo.json`. The track has a passage for every
feature of the audio analysis. It loops without a seam: sound that decays beyond the end continues at the beginning.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from tpos_live.audio.demo import BAR, BARS, DEMO, TEMPO
from tpos_live.audio.source import RATE
from tpos_live.training.synth import synth

BEAT = BAR / 4
STEP = BEAT / 4
LOUDNESS = -14.0
"""LUFS."""
CEILING = 10 ** (-2.2 / 20)
"""A little below -1 dBFS, because the Vorbis codec overshoots."""
SECTIONS = (("intro", 0, 4), ("build-up", 4, 8), ("drop", 8, 16), ("breakdown", 16, 19), ("silence", 19, 20),
            ("drop", 20, BARS))  # fmt: skip
"""Name, first bar and bar after the last."""
_CHORDS = ((57, 60, 64, 67), (53, 57, 60, 64), (55, 60, 64, 71), (55, 59, 62, 69))
"""MIDI notes of Am7, Fmaj7, Cmaj7 and G with a ninth, one chord for each bar."""
_ROOTS = (33, 29, 36, 31)
_MELODY = (
    ((0, 69), (3, 72), (6, 76), (10, 74), (12, 72)),
    ((0, 72), (3, 69), (6, 72), (10, 77), (12, 76)),
    ((0, 67), (3, 72), (6, 76), (10, 79), (12, 76)),
    ((0, 74), (3, 71), (6, 74), (10, 79), (12, 76), (14, 74)),
)
"""For each chord: (sixteenth in the bar, MIDI note)."""


@dataclass(frozen=True)
class Section:
    """A section of the track. start, end: seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Score:
    """Ground truth of the track; all times in seconds. hats: closed and open ones."""

    tempo: float
    duration: float
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    kicks: tuple[float, ...]
    snares: tuple[float, ...]
    hats: tuple[float, ...]
    sections: tuple[Section, ...]

    def json(self) -> str:
        return json.dumps(asdict(self), indent=None, separators=(",", ":")).replace('],"', '],\n"') + "\n"


@dataclass(frozen=True)
class Hit:
    """One stroke of a drum: time in seconds, strength 0 to 1."""

    time: float
    strength: float


def section_of(bar: int) -> str:
    """ "intro", "build-up", "drop", "breakdown" or "silence"."""
    return next(name for name, first, end in SECTIONS if first <= bar < end)


def kicks() -> list[Hit]:
    """Four on the floor from the second half of the intro on, except in breaks and in the last bar of the build-up."""
    hits = []
    for bar in range(BARS):
        part = section_of(bar)
        strength = {"drop": 1.0, "build-up": 0.75, "intro": 0.45}.get(part, 0.0)
        if strength and bar not in (0, 1, 7):
            hits += [Hit(bar * BAR + beat * BEAT, strength) for beat in range(4)]
    return hits


def snares() -> list[Hit]:
    """Backbeats in the drops, and a roll through the build-up: quarters, eighths, sixteenths."""
    hits = []
    for bar in range(BARS):
        part = section_of(bar)
        if part == "drop":
            hits += [Hit(bar * BAR + beat * BEAT, 1.0) for beat in (1, 3)]
        elif part == "build-up":
            count = (2, 4, 8, 14)[bar - 4]  # 14: the last two sixteenths before the drop are silent
            length = (2 * BEAT, BEAT, BEAT / 2, STEP)[bar - 4]
            shift = BEAT if bar == 4 else 0.0
            for index in range(count):
                progress = (bar - 4 + index * length / BAR) / 4
                hits.append(Hit(bar * BAR + shift + index * length, 0.3 + 0.6 * progress**2))
    return hits


def hats() -> tuple[list[Hit], list[Hit]]:
    """Closed and open hats: off-beats from the second half of the intro on, sixteenths in the drops."""
    closed, opened = [], []
    for bar in range(BARS):
        part = section_of(bar)
        for step in range(16):
            time = bar * BAR + step * STEP
            if part == "drop":
                if step % 4 == 2:
                    opened.append(Hit(time, 0.9))
                else:
                    closed.append(Hit(time, 0.55 if step % 2 else 0.4))
            elif (part == "build-up" or bar in (2, 3)) and step % 4 == 2 and bar != 7:
                closed.append(Hit(time, 0.7))
    return closed, opened


def score() -> Score:
    closed, opened = hats()
    return Score(
        tempo=TEMPO,
        duration=BARS * BAR,
        beats=tuple(round(beat * BEAT, 6) for beat in range(4 * BARS)),
        downbeats=tuple(round(bar * BAR, 6) for bar in range(BARS)),
        kicks=_times(kicks()),
        snares=_times(snares()),
        hats=_times(closed + opened),
        sections=tuple(Section(name, round(first * BAR, 6), round(end * BAR, 6)) for name, first, end in SECTIONS),
    )


def _times(hits: list[Hit]) -> tuple[float, ...]:
    return tuple(sorted(round(hit.time, 6) for hit in hits))


class Track:
    """A stereo loop as long as the track, float64 [n, 2]; sound beyond its end wraps to the beginning."""

    def __init__(self) -> None:
        self.samples = np.zeros((round(BARS * BAR * RATE), 2))

    def place(self, sound: np.ndarray, time: float, gain: float = 1.0, pan: float = 0.0) -> None:
        """Add `sound` [n] at `time` seconds. pan: -1 left to 1 right, at constant power."""
        angle = (pan + 1) * np.pi / 4
        at = np.arange(round(time * RATE), round(time * RATE) + len(sound)) % len(self.samples)
        self.samples[at, 0] += gain * np.sqrt(2) * np.cos(angle) * sound
        self.samples[at, 1] += gain * np.sqrt(2) * np.sin(angle) * sound


def render() -> np.ndarray:
    """The whole track, float32 [n, 2] at 48 kHz; deterministic."""
    noise = np.random.default_rng(128)
    drums = _drums(noise)
    room_for = Track()
    pump = _ducking(0.75)[:, None]
    light_pump = _ducking(0.4)[:, None]
    pads, leads = _pads(), _leads()
    room_for.samples += 0.5 * pads + 0.8 * leads
    echo = synth.room(room_for.samples, noise, 0.55) * light_pump
    mix = drums + _basses() * pump + pads * pump + leads * light_pump + 0.33 * echo + _effects(noise)
    mix *= _silence()[:, None]
    return synth.mastered(mix, LOUDNESS, CEILING).astype(np.float32)


def _drums(noise: np.random.Generator) -> np.ndarray:
    track = Track()
    kick, snare = synth.kick(noise), synth.snare(noise)
    for hit in kicks():
        track.place(kick, hit.time, 0.72 * hit.strength)
    for hit in snares():
        track.place(snare, hit.time, 0.72 * hit.strength, 0.05)
    closed, opened = hats()
    for decay, hits, pan in ((0.022, closed, -0.25), (0.08, opened, 0.2)):
        sounds = [synth.hat(noise, decay) for _ in range(4)]
        for index, hit in enumerate(hits):
            track.place(sounds[index % 4], hit.time, 0.46 * hit.strength, pan)
    return track.samples


def _basses() -> np.ndarray:
    """Three sixteenths after each kick in the drops; held notes in the breakdown and in bars 5 and 6."""
    track = Track()
    for bar in range(BARS):
        root, part = _ROOTS[bar % 4], section_of(bar)
        if part == "drop":
            short = synth.bass(root + 12, 0.9 * STEP)
            for beat in range(4):
                for step, strength in ((1, 0.75), (2, 1.0), (3, 0.85)):
                    track.place(short, bar * BAR + beat * BEAT + step * STEP, 0.38 * strength)
        elif part == "breakdown" or bar in (5, 6):
            track.place(synth.bass(root + 12, BAR), bar * BAR, 0.2)
    return track.samples


def _pads() -> np.ndarray:
    """Stereo chords through a low-pass filter that opens during intro and build-up."""
    voices = [Track(), Track()]
    for bar in range(BARS):
        if section_of(bar) == "silence":
            continue
        for index, midi in enumerate(_CHORDS[bar % 4]):
            for side, track in enumerate(voices):
                voice = synth.pad(midi, BAR + 0.2, 0.004, 0.37 * index + 0.17 * side)
                track.place(voice, bar * BAR, 0.075, (-0.8, 0.8)[side])
    both = voices[0].samples + voices[1].samples
    dark, bright = (np.stack([synth.shaped(side, 150, cut) for side in both.T], 1) for cut in (800, 7000))
    opening = np.interp(_bars(), [0, 4, 7.9, 8, 15.9, 16, 18.9, 20, 24], [0, 0.25, 0.9, 0.9, 0.9, 0.15, 0.5, 1.0, 1.0])
    level = np.interp(_bars(), [0, 1, 7, 8, 8.01, 16, 16.1, 24], [0.4, 0.5, 0.75, 0.75, 0.9, 0.9, 0.85, 0.9])
    return (dark + (bright - dark) * opening[:, None]) * level[:, None]


def _leads() -> np.ndarray:
    """Broken chords that become brighter, the melody in the drops, and the same, quieter, in the breakdown."""
    track = Track()
    for bar in range(BARS):
        part, chord = section_of(bar), _CHORDS[bar % 4]
        if part in ("intro", "build-up"):
            bright = (bar + 0.5) / 8
            for eighth in range(8 if bar < 7 else 7):
                midi = chord[(0, 2, 1, 3)[eighth % 4]] + 12
                track.place(synth.pluck(midi, bright), bar * BAR + eighth * BEAT / 2, 0.095, 0.5 * (-1) ** eighth)
        elif part in ("drop", "breakdown"):
            gain, bright = (0.24, 0.85) if part == "drop" else (0.13, 0.35)
            for index, (step, midi) in enumerate(_MELODY[bar % 4]):
                time = bar * BAR + step * STEP
                track.place(synth.pluck(midi, bright), time, gain, 0.3 * (-1) ** index)
                if bar >= 20:
                    track.place(synth.pluck(midi + 12, 0.5), time, 0.4 * gain, -0.3 * (-1) ** index)
    dry = track.samples
    echo = np.zeros_like(dry)
    for repeat in range(1, 4):  # dotted eighths, from side to side
        late = np.roll(dry, round(3 * STEP * repeat * RATE), axis=0)
        echo += 0.4**repeat * (late[:, ::-1] if repeat % 2 else late)
    return dry + echo


def _effects(noise: np.random.Generator) -> np.ndarray:
    track = Track()
    for pan in (-0.8, 0.8):
        track.place(synth.riser(noise, 4 * BAR - BEAT / 2), 4 * BAR, 0.11, pan)
        for bar in (8, 20):
            track.place(synth.crash(noise), bar * BAR, 0.14, pan)
    return track.samples


def _ducking(depth: float) -> np.ndarray:
    """Sidechain gain [n], lowered at each kick by `depth`."""
    gain = np.ones(round(BARS * BAR * RATE))
    time = synth.seconds(BEAT)
    for hit in kicks():
        dip = 1 - depth * hit.strength * np.exp(-time / 0.11)
        at = round(hit.time * RATE)
        gain[at : at + len(dip)] = dip
    return _smooth(gain)


def _smooth(gain: np.ndarray) -> np.ndarray:
    """Moving average of the gain over 4 ms, circular, to avoid clicks."""
    width = RATE // 250
    total = np.cumsum(np.concatenate([gain[-width // 2 :], gain, gain[: width // 2]]))
    return (total[width:] - total[:-width])[: len(gain)] / width


def _silence() -> np.ndarray:
    """Gain [n] that mutes the bar of silence."""
    bar, fade = _bars(), 0.06
    return np.interp(bar, [19 - fade, 19, 20 - 1e-6, 20], [1.0, 0.0, 0.0, 1.0])


def _bars() -> np.ndarray:
    return np.arange(round(BARS * BAR * RATE)) / RATE / BAR


def write(folder: Path) -> None:
    """Write `demo.ogg` and `demo.json` into `folder`."""
    samples = render()
    with soundfile.SoundFile(
        folder / "demo.ogg", "w", RATE, 2, format="OGG", subtype="VORBIS", compression_level=0.55
    ) as file:
        for start in range(0, len(samples), RATE):  # libsndfile's Vorbis encoder breaks on long writes
            file.write(samples[start : start + RATE])
    (folder / "demo.json").write_text(score().json(), encoding="utf-8")


if __name__ == "__main__":
    write(DEMO.parent)
