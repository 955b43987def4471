"""Beats on real songs whose beats are known: python benchmarks/real_beats.py FOLDER [--seconds S]

FOLDER: songs of Frets on Fire (`apt-get download fretsonfire-songs-sectoid`, MIT; unpack with `dpkg-deb -x`). Each is a
folder of song.ogg, guitar.ogg and notes.mid, whose one tempo and start are the grid that players play to. Prints, after
the first 8 s: F of the beats (+-70 ms), F against the grid half a beat off (a control), the share of moments whose
tempo is within 0.3 %, and the median distance of a beat from the grid in ms.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rhythm import KNOWN, WITHIN, beats, f_score, hear

from tpos_live.sound.source import RATE
from tpos_live.training.clips import read_mono

TEMPO_EVENT = b"\xff\x51\x03"


def tempo(notes: Path) -> float:
    """Beats a minute of a MIDI file's first tempo event (Standard MIDI Files 1.0: microseconds a quarter note)."""
    content = notes.read_bytes()
    at = content.index(TEMPO_EVENT) + len(TEMPO_EVENT)
    return 60e6 / int.from_bytes(content[at : at + 3], "big")


def mixed(folder: Path, seconds: float) -> np.ndarray:
    """All parts of a song together, float32 [samples] at RATE."""
    parts = [read_mono(path)[: round(seconds * RATE)] for path in sorted(folder.glob("*.ogg"))]
    sound = np.zeros(max(map(len, parts)), np.float32)
    for part in parts:
        sound[: len(part)] += part
    return sound / max(float(np.abs(sound).max()), 1e-6) * 0.7


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=600.0)
    arguments = parser.parse_args()
    print("| song | BPM | beats F | half a beat off | tempo | off, ms |\n| --- | --- | --- | --- | --- | --- |")
    for notes in sorted(arguments.folder.rglob("notes.mid")):
        bpm, sound = tempo(notes), mixed(notes.parent, arguments.seconds)
        found = hear(sound)
        # Music has no beats before its first sound and none after its last.
        loud = np.flatnonzero(np.abs(sound) > 0.02)
        begin, end = max(KNOWN, loud[0] / RATE + KNOWN), loud[-1] / RATE
        grid = np.arange(0.0, end, 60.0 / bpm)
        counted = beats(found)
        counted = counted[(counted > begin) & (counted < end)]
        score = f_score(counted, grid[grid > begin], 0.07)
        control = f_score(counted, grid[grid > begin] + 30.0 / bpm, 0.07)
        right = np.mean([abs(f.tempo / bpm - 1.0) <= WITHIN for f in found if begin < f.time < end])
        off = np.median([1e3 * np.min(np.abs(grid - t)) for t in counted]) if len(counted) else np.nan
        print(f"| {notes.parent.name} | {bpm:.0f} | {score:.2f} | {control:.2f} | {100 * right:.0f} % | {off:.0f} |")


if __name__ == "__main__":
    main()
