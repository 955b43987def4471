"""The styles of synthetic music as a table: tempo, harmony, and the pattern and instruments of each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tpos_live.training.synth.score import (
    Role,
    arpeggio,
    bass,
    chugs,
    drums,
    melody,
    pads,
    sparse,
    stabs,
    strum,
    walking,
)

MAJOR, MINOR, PHRYGIAN = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 1, 3, 5, 7, 8, 10)
DRUMS = 128
"""Bank of a soundfont's drum kits."""


@dataclass(frozen=True)
class Part:
    """One part of a style. programs: General MIDI programs, one is chosen at random; bank: DRUMS for drum kits. drive:
    distortion; high, low: cutoff frequencies in Hz, 0 for none; wet: share of reverb; chance: probability that it
    plays; own: our own drum sounds replace the soundfont's half of the time."""

    write: Role
    programs: Sequence[int]
    gain: float = 1.0
    bank: int = 0
    drive: float = 0.0
    high: float = 0.0
    low: float = 0.0
    wet: float = 0.15
    chance: float = 1.0
    own: bool = False


@dataclass(frozen=True)
class Style:
    """tempo: range in beats per minute. minor: probability of a minor scale. energy: -1 calm to 1 driving; light: -1
    dark to 1 bright, before a major scale adds 0.25 or a minor one subtracts it. root: range of the tonic, MIDI notes.
    duck: sidechain compression by the kick. scales: major and minor. chords: sequences of degrees, one is chosen."""

    tempo: tuple[float, float]
    parts: Sequence[Part]
    minor: float = 0.5
    energy: float = 0.0
    light: float = 0.0
    root: tuple[int, int] = (48, 60)
    duck: bool = False
    scales: tuple[Sequence[int], Sequence[int]] = (MAJOR, MINOR)
    chords: Sequence[Sequence[int]] = ((0, 5, 3, 4), (0, 3, 5, 4), (0, 0, 3, 3), (5, 3, 0, 4), (0, 4, 5, 3))


STILL = ((0, 0, 5, 5), (0, 3, 0, 3), (0, 0, 0, 0), (0, 2, 3, 3))
FLOOR = "x...x...x...x..."
PADS, STRINGS, CHOIR = (88, 89, 90, 91, 92, 94, 95), (48, 49, 50, 51), (52, 53, 54)
SYNTH_BASS, ELECTRIC, STEEL = (38, 39, 87), (29, 30), (24, 25)
ROCK_KITS, SYNTH_KITS = (0, 8, 16), (24, 25)

STYLES: dict[str, Style] = {
    "ambient music": Style(
        (50, 75),
        energy=-1.0,
        light=0.1,
        minor=0.5,
        chords=STILL,
        parts=(
            Part(pads(0, 3, 8.0), PADS, wet=0.6, high=3500),
            Part(pads(-1, 2, 8.0), (*STRINGS, *PADS), 0.6, wet=0.5, chance=0.6),
            Part(sparse(1, 0.25), (11, 8, 98, 14, 46, 99, 0), 0.5, wet=0.7, chance=0.7),
        ),
    ),
    "dark ambient music": Style(
        (45, 65),
        energy=-0.7,
        light=-1.0,
        minor=1.0,
        root=(36, 44),
        chords=STILL,
        scales=(PHRYGIAN, PHRYGIAN),
        parts=(
            Part(pads(-1, 2, 8.0), (89, 95, 97, 101, 43, 44), high=900, wet=0.5),
            Part(pads(0, 2, 8.0), (44, 52, 91, 101), 0.4, high=1500, wet=0.6),
            Part(sparse(-1, 0.2, 0.7), (47, 14, 116, 0, 103), 0.6, high=1800, wet=0.7, chance=0.7),
        ),
    ),
    "techno music": Style(
        (124, 142),
        energy=1.0,
        light=-0.4,
        minor=0.95,
        duck=True,
        chords=((0, 0, 0, 0), (0, 0, 5, 0)),
        parts=(
            Part(
                drums(1.0, kick=FLOOR, hat="..x...x...x...x.", open="..o...o...o...o.", clap="....o.......o..."),
                SYNTH_KITS,
                1.3,
                DRUMS,
                own=True,
                wet=0.03,
            ),
            Part(drums(0.5, hat="xoxoxoxoxoxoxoxo"), SYNTH_KITS, 0.5, DRUMS, own=True, wet=0.05),
            Part(bass("..xx..xx..xx..xx"), SYNTH_BASS, 0.9, high=900, drive=1.5),
            Part(stabs("..x..x....x..x.."), (81, 90, 62, 55), 0.5, high=3000, wet=0.4, chance=0.7),
            Part(arpeggio(0, 0.25, 0.5, 0.5), (80, 81, 87), 0.45, high=2200, drive=1.0, wet=0.3, chance=0.6),
        ),
    ),
    "house music": Style(
        (118, 128),
        energy=0.7,
        light=0.3,
        minor=0.55,
        duck=True,
        parts=(
            Part(
                drums(1.0, kick=FLOOR, clap="....x.......x...", open="..x...x...x...x.", shaker="xoxoxoxoxoxoxoxo"),
                SYNTH_KITS,
                1.2,
                DRUMS,
                own=True,
                wet=0.05,
            ),
            Part(bass("x..x..x.x..x..x.", leaps=True), SYNTH_BASS, 0.9, high=1200),
            Part(stabs("x..x..x...x..x.."), (0, 4, 5, 16, 17), 0.7, wet=0.2),
            Part(pads(0, 3, 4.0), PADS, 0.4, chance=0.6),
            Part(melody(1), (53, 54, 81, 73), 0.5, wet=0.3, chance=0.4),
        ),
    ),
    "trance music": Style(
        (132, 142),
        energy=0.9,
        light=0.5,
        minor=0.65,
        duck=True,
        parts=(
            Part(
                drums(1.0, kick=FLOOR, open="..x...x...x...x.", clap="....x.......x...", hat="xoxoxoxoxoxoxoxo"),
                SYNTH_KITS,
                1.1,
                DRUMS,
                own=True,
                wet=0.04,
            ),
            Part(bass(".xxx.xxx.xxx.xxx"), SYNTH_BASS, 0.8, high=1500),
            Part(arpeggio(1, 0.25), (81, 80, 90), 0.8, wet=0.45),
            Part(pads(1, 3, 4.0), (81, 90, 50, 91), 0.6, wet=0.5),
        ),
    ),
    "drum and bass music": Style(
        (165, 178),
        energy=1.0,
        light=-0.3,
        minor=0.85,
        parts=(
            Part(
                drums(
                    1.0,
                    kick="x.........x.....",
                    snare="....x.......x..o",
                    hat="x.x.x.x.x.x.x.x.",
                    ride="o...o...o...o...",
                ),
                (24, 0, 16),
                1.3,
                DRUMS,
                own=True,
                wet=0.06,
            ),
            Part(drums(0.5, snare=".......o.o.....o", shaker="xxxxxxxxxxxxxxxx"), (0, 24), 0.5, DRUMS, wet=0.1),
            Part(bass("x.....x...x....."), (38, 39, 87, 81), 1.0, high=700, drive=3.0),
            Part(pads(0, 3, 8.0), PADS, 0.4, wet=0.4, chance=0.7),
            Part(stabs("x.......x.....x."), (4, 90, 62), 0.4, wet=0.4, chance=0.5),
        ),
    ),
    "synthwave music": Style(
        (88, 118),
        energy=0.4,
        light=-0.1,
        minor=0.75,
        parts=(
            Part(
                drums(1.0, kick="x.......x.x.....", snare="....x.......x...", hat="x.x.x.x.x.x.x.xo"),
                (24, 25, 16),
                1.0,
                DRUMS,
                wet=0.25,
            ),
            Part(bass("xxxxxxxxxxxxxxxx"), SYNTH_BASS, 0.9, high=1400),
            Part(pads(0, 3, 4.0), (50, 51, 90, 62, 63), 0.6, high=5000, wet=0.3),
            Part(arpeggio(1, 0.25, 0.5), (80, 81, 88), 0.4, wet=0.3, chance=0.6),
            Part(melody(1), (81, 80, 84), 0.5, wet=0.35, chance=0.6),
        ),
    ),
    "chillout music": Style(
        (72, 100),
        energy=-0.5,
        light=0.3,
        minor=0.5,
        parts=(
            Part(
                drums(0.6, kick="x.....x...x.....", snare="....x.......x...", hat="x.x.xox.x.x.xox."),
                (0, 24, 40),
                0.8,
                DRUMS,
                high=6000,
                wet=0.1,
            ),
            Part(bass("x.....x...x....."), (33, 35, 38, 39), 0.8, high=900),
            Part(pads(0, 4, 4.0), (4, 5, 89, 11), 0.7, high=3500, wet=0.3),
            Part(sparse(1, 0.5), (4, 11, 26, 73, 0), 0.5, wet=0.4, chance=0.8),
            Part(pads(0, 3, 8.0), PADS, 0.4, chance=0.5, wet=0.5),
        ),
    ),
    "hip hop music": Style(
        (80, 100),
        energy=0.3,
        light=-0.3,
        minor=0.85,
        parts=(
            Part(
                drums(
                    1.0,
                    kick="x..x..x...x.....",
                    snare="....x.......x...",
                    hat="x.x.x.x.x.x.xxx.",
                    clap="....o.......o...",
                ),
                (24, 25, 0),
                1.3,
                DRUMS,
                own=True,
                wet=0.05,
            ),
            Part(bass("x.....x...x.....", -3), (38, 39, 87), 1.1, high=400),
            Part(arpeggio(0, 0.5), (0, 4, 46, 11, 24), 0.6, high=4000, wet=0.2),
            Part(pads(0, 3, 8.0), STRINGS, 0.4, chance=0.5),
        ),
    ),
    "rock music": Style(
        (105, 150),
        energy=0.7,
        light=0.2,
        minor=0.4,
        parts=(
            Part(
                drums(
                    1.0,
                    kick="x.....x.x.......",
                    snare="....x.......x...",
                    hat="x.x.x.x.x.x.x.x.",
                    crash="x...............",
                ),
                ROCK_KITS,
                1.2,
                DRUMS,
                wet=0.12,
            ),
            Part(bass("x.x.x.x.x.x.x.x."), (33, 34), 0.9),
            Part(strum(0, 0.5), ELECTRIC, 0.7, drive=3.0, high=6000),
            Part(strum(0, 0.5), (27, 28, 25), 0.5, chance=0.5),
            Part(melody(1), (29, 30, 53, 54), 0.6, drive=2.0, wet=0.25, chance=0.6),
        ),
    ),
    "heavy metal music": Style(
        (120, 190),
        energy=1.0,
        light=-0.8,
        minor=1.0,
        root=(52, 58),
        scales=(MINOR, PHRYGIAN),
        chords=((0, 0, 5, 6), (0, 1, 0, 3), (0, 0, 0, 1), (0, 5, 6, 4)),
        parts=(
            Part(
                drums(
                    1.0,
                    kick="xoxoxoxoxoxoxoxo",
                    snare="....x.......x...",
                    ride="x...x...x...x...",
                    crash="x...............",
                ),
                (16, 0, 8),
                1.2,
                DRUMS,
                wet=0.1,
            ),
            Part(chugs(-2), ELECTRIC, 0.9, drive=3.0, high=4500, low=80, wet=0.1),
            Part(chugs(-2), ELECTRIC, 0.8, drive=5.0, high=5000, low=90, wet=0.1),
            Part(bass("x.xxx.xxx.xxx.xx", -3), (34, 33), 0.8, drive=2.0, high=2500),
            Part(melody(1), ELECTRIC, 0.7, drive=3.0, wet=0.3, chance=0.5),
        ),
    ),
    "acoustic guitar music": Style(
        (75, 120),
        energy=-0.3,
        light=0.5,
        minor=0.3,
        parts=(
            Part(strum(1, 0.5), STEEL, 1.0, wet=0.15, chance=0.6),
            Part(arpeggio(0, 0.5), STEEL, 0.9, wet=0.15),
            Part(bass("x.......x.......", -1), (32, 24), 0.5, chance=0.5),
            Part(melody(1), (73, 22, 40, 105, 72), 0.5, wet=0.2, chance=0.4),
        ),
    ),
    "piano music": Style(
        (60, 120),
        energy=-0.4,
        light=0.1,
        minor=0.5,
        parts=(
            Part(arpeggio(0, 0.5), (0, 1, 2), 0.8, wet=0.25),
            Part(melody(1), (0, 1), 1.0, wet=0.25, chance=0.8),
            Part(bass("x.......x.......", -1), (0, 1), 0.7),
        ),
    ),
    "classical string music": Style(
        (60, 110),
        energy=-0.4,
        light=0.2,
        minor=0.5,
        parts=(
            Part(pads(0, 3, 2.0), STRINGS, 0.8, wet=0.35),
            Part(melody(1), (40, 41, 48, 68, 71, 73), 0.8, wet=0.35),
            Part(bass("x.......x.......", -1), (42, 43, 48), 0.7, wet=0.3),
            Part(arpeggio(1, 0.5), (46, 45, 6), 0.5, wet=0.3, chance=0.5),
        ),
    ),
    "epic orchestral music": Style(
        (90, 150),
        energy=0.7,
        light=-0.3,
        minor=0.8,
        parts=(
            Part(stabs("x.xxx.xxx.xxx.xx", 0, 0.8, 0.2), (48, 44, 45), 0.9, wet=0.35),
            Part(pads(0, 3, 4.0, 0.8), (61, 57, 58, 60), 0.8, wet=0.35),
            Part(
                drums(1.0, tom="x..x..x.x..x..x.", kick="x.......x.......", crash="o..............."),
                (48, 0),
                1.2,
                DRUMS,
                wet=0.4,
            ),
            Part(bass("x...x...x...x...", -2), (43, 58, 47), 0.8, wet=0.3),
            Part(pads(1, 3, 4.0), CHOIR, 0.6, wet=0.4, chance=0.6),
            Part(melody(1), (60, 56, 48), 0.7, wet=0.3, chance=0.6),
        ),
    ),
    "jazz music": Style(
        (90, 190),
        energy=0.1,
        light=0.2,
        minor=0.5,
        chords=((1, 4, 0, 0), (0, 5, 1, 4), (2, 5, 1, 4)),
        parts=(
            Part(
                drums(0.7, ride="x...x..ox...x..o", hat="....x.......x...", snare=".......o..o....."),
                (32, 40, 0),
                0.9,
                DRUMS,
                wet=0.15,
            ),
            Part(walking(), (32, 35), 1.0),
            Part(stabs("...x......x.....", 0, 0.6, 0.6), (0, 1, 26, 4), 0.8, wet=0.15),
            Part(melody(1), (65, 66, 56, 59, 11, 26, 0, 71), 0.9, wet=0.2),
        ),
    ),
    "funk music": Style(
        (98, 122),
        energy=0.6,
        light=0.7,
        minor=0.4,
        parts=(
            Part(
                drums(1.0, kick="x..o..x...x..o..", snare="....x..o....x..o", hat="xxxxxxxxxxxxxxxx"),
                ROCK_KITS,
                1.1,
                DRUMS,
                wet=0.06,
            ),
            Part(bass("x..x..x.x.xx..x.", leaps=True), (36, 37, 33), 1.0),
            Part(stabs("..x..x.x..x..xx.", 0, 0.7, 0.15), (7, 27, 28, 16), 0.6),
            Part(stabs("x.......x..x....", 1, 0.8, 0.3), (61, 62, 63), 0.6, wet=0.15, chance=0.7),
        ),
    ),
    "choir music": Style(
        (50, 80),
        energy=-0.7,
        light=0.3,
        minor=0.5,
        chords=STILL,
        parts=(
            Part(pads(0, 4, 4.0), CHOIR[:2], 1.0, wet=0.6),
            Part(melody(1), CHOIR[:2], 0.7, wet=0.6, chance=0.6),
            Part(pads(-1, 2, 4.0), (19, 52, 48), 0.5, wet=0.5, chance=0.6),
        ),
    ),
    "chiptune music": Style(
        (120, 165),
        energy=0.6,
        light=0.8,
        minor=0.35,
        parts=(
            Part(arpeggio(1, 0.25, 0.7, 0.6), (80,), 0.8, wet=0.0),
            Part(melody(1), (80, 81), 0.8, wet=0.0),
            Part(bass("x.x.x.x.x.x.x.x.", -1), (80, 81, 87), 0.7, wet=0.0),
            Part(
                drums(0.8, kick=FLOOR, snare="....x.......x...", hat="..x...x...x...x."),
                (24, 25),
                0.7,
                DRUMS,
                wet=0.0,
                own=True,
            ),
        ),
    ),
}
"""Styles by name; the name is the label in the sentence space."""
