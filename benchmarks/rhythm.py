"""Accuracy of tempo, beats, bars and drums on synthesised patterns: python benchmarks/rhythm.py [--step BPM] [--json]

Patterns of `tests/fakes/music.py` at 60 to 180 BPM with a timing jitter of 2 ms. Prints, in percent:
tempo   share of cases with a tempo within 0.3 % at all times from 8 s on, 80 to 160 BPM; octave errors count as wrong
octave  the same from 60 to 180 BPM; half and double tempo count as right
beats   F-measure of the beats after 8 s, +-70 ms (80 to 160 BPM)
bars    share of right downbeats after 12 s
kick, snare, hats   F-measure of the hits after 2 s, +-50 ms
The last line is the drift: the largest error of the beats after 8 bars of silence, in ms.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fakes.music import PATTERNS, RATE, Groove, groove

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.extractor import FeatureExtractor
from tpos_live.features.features import Features

SECONDS = 16.0
KNOWN = 8.0
WITHIN = 0.003


def hear(sound: np.ndarray) -> list[Features]:
    return FeatureExtractor().push(sound, ParameterStore().snapshot())


def beats(found: list[Features], first: bool = False) -> np.ndarray:
    """Times of the beats; first: of the downbeats only."""
    return np.array(
        [
            b.time - b.beat_phase * 60.0 / b.tempo
            for a, b in itertools.pairwise(found)
            if b.beats > a.beats and b.tempo and not (first and b.bar_phase >= 0.25)
        ]
    )


def hits(found: list[Features], name: str) -> np.ndarray:
    """Onset times of a drum; name: its field of Features."""
    values = np.array([getattr(f, name) for f in found])
    times = np.array([f.time for f in found])[1:][np.diff(values) > 0.01]
    return times[np.diff(times, prepend=-1.0) > 0.045]


def f_score(found: np.ndarray, true: np.ndarray, within: float) -> float:
    """F-measure; each true time matches at most one found time. 1 where both are empty."""
    left, matched = list(true), 0
    for time in found:
        near = [t for t in left if abs(t - time) <= within]
        if near:
            left.remove(min(near, key=lambda t: abs(t - time)))
            matched += 1
    return 2.0 * matched / max(len(found) + len(true), 1) if len(found) + len(true) else 1.0


def score_case(pattern: str, bpm: float, seed: int) -> dict[str, float]:
    """All figures of one case, 0 to 1."""
    heard: Groove = groove(pattern, bpm, SECONDS, seed=seed)
    found = hear(heard.sound)
    off = np.array([f.tempo for f in found if f.time >= KNOWN]) / bpm
    octaves = np.min([np.abs(off * k - 1.0) for k in (0.5, 1.0, 2.0)], axis=0)
    counted, true = beats(found), heard.beats
    first = [t for t in beats(found, first=True) if t > 12.0]
    row = {
        "tempo": float(np.all(np.abs(off - 1.0) <= WITHIN)),
        "octave": float(np.all(octaves <= WITHIN)),
        "beats": f_score(counted[(counted > KNOWN) & (counted < true[-1] + 0.1)], true[true > KNOWN], 0.07),
        "bars": float(np.mean([np.min(np.abs(heard.downbeats - t)) < 0.07 for t in first])) if first else 0.0,
    }
    for name, times in (("kick", heard.kicks), ("snare", heard.snares), ("hats", heard.hats)):
        late = hits(found, name)
        if len(times):
            row[name] = f_score(late[late > 2.0], times[times > 2.0] + 0.015, 0.05)
        else:
            row[name] = 1.0 if not len(late[late > 2.0]) else 0.0
    return row


def drift(bpm: float) -> float:
    """Largest error of the beats in milliseconds, 8 bars after the music has stopped."""
    bars = 1920.0 / bpm
    heard = groove("rock", bpm, SECONDS + bars)
    heard.sound[round(SECONDS * RATE) :] = 0.0
    late = beats(hear(heard.sound))
    late = late[late > SECONDS + bars - 120.0 / bpm]
    return 1e3 * float(max(np.min(np.abs(heard.beats - t)) for t in late if t < heard.beats[-1] + 0.1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--step", type=float, default=10.0, help="BPM between two cases")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    tempi = np.arange(60.0, 180.1, arguments.step)
    table = {}
    for pattern in PATTERNS:
        rows = [score_case(pattern, float(bpm), seed=int(bpm)) for bpm in tempi]
        inside = (tempi >= 80.0) & (tempi <= 160.0)
        table[pattern] = {
            name: 100.0 * float(np.mean([row[name] for row, take in zip(rows, inside, strict=True) if take]))
            for name in rows[0]
        } | {"octave": 100.0 * float(np.mean([row["octave"] for row in rows]))}
    table["all"] = {name: float(np.mean([row[name] for row in table.values()])) for name in table["rock"]}
    drifts = {bpm: drift(bpm) for bpm in (80.0, 120.0, 160.0)}
    if arguments.json:
        print(json.dumps({"patterns": table, "drift_ms": drifts, "tempi": len(tempi)}))
        return
    print("| pattern | " + " | ".join(table["all"]) + " |")
    print("| --- |" + " --- |" * len(table["all"]))
    for pattern, row in table.items():
        print(f"| {pattern} | " + " | ".join(f"{value:.0f}" for value in row.values()) + " |")
    print("drift after 8 bars: " + ", ".join(f"{ms:.0f} ms at {bpm:.0f} BPM" for bpm, ms in drifts.items()))


if __name__ == "__main__":
    main()
