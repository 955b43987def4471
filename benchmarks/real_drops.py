"""Compares detected drops in music with a list made by hand: `python benchmarks/real_drops.py FOLDER [--excerpts]`.

FOLDER is searched for the tracks of `tpos_live/evaluation/drops.tsv`. With --excerpts, only excerpts of 30 s are
analysed: each starts 18 s before a drop, or at 1:30 in a track without drops.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from tpos_live.audio.files import read_audio
from tpos_live.audio.source import RATE
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.evaluation.show import DropMatch, match_drops, read_drops
from tpos_live.features.extractor import FeatureExtractor

EXCERPT, LEAD = 30.0, 18.0
"""Seconds of an excerpt, and of its part before the drop."""


def drops(path: Path, start: float = 0.0, end: float | None = None) -> tuple[list[float], list[float], float]:
    """Times of the detected drops in a part of a file, seconds per beat at each, and the analysed seconds."""
    mono = read_audio(path, end).mean(axis=1)[int(start * RATE) :]
    extractor, snapshot, found = FeatureExtractor(), ParameterStore().snapshot(), []
    for first in range(0, len(mono), RATE):
        found += extractor.push(mono[first : first + RATE], snapshot)
    at = [now for before, now in itertools.pairwise(found) if now.drop > before.drop]
    beats = [60.0 / now.tempo if now.tempo else 0.5 for now in at]
    return [start + now.time for now in at], beats, len(mono) / RATE


def main(folder: Path, excerpts: bool) -> None:
    paths = {path.stem: path for path in folder.rglob("*.ogg")}
    total, seconds = DropMatch(), 0.0
    for name, listed in read_drops().items():
        if name not in paths:
            print(f"{name}: not in {folder}")
            continue
        parts: list[tuple[float, float | None]] = [(0.0, None)]
        if excerpts:
            starts = [max(time - LEAD, 0.0) for time in listed] or [90.0]
            parts = [(start, start + EXCERPT) for start in starts]
        for start, end in parts:
            found, beats, heard = drops(paths[name], start, end)
            # In an excerpt a drop needs four bars before it.
            inside = [time for time in listed if start + (10.0 if start else 0.0) <= time <= (end or 1e9) - 1.0]
            match = match_drops(found, inside, beats)
            others = [time for time in listed if time not in inside]
            match = DropMatch(match.found, match.missed, match.false - match_drops(found, others, beats).found)
            total = DropMatch(*(a + b for a, b in zip(_tuple(total), _tuple(match), strict=True)))
            seconds += heard
            print(f"{name} from {start:.0f} s: {[round(time, 1) for time in found]}; {match}", flush=True)
    listed_count = total.found + total.missed
    print(f"{total.found} of {listed_count} found; {total.false} false in {seconds / 60:.0f} min")


def _tuple(match: DropMatch) -> tuple[int, int, int]:
    return match.found, match.missed, match.false


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--excerpts" in sys.argv[2:])
