"""`tpos-live evaluate sync`: how well a video follows its sound, with controls that should score lower."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click
import numpy as np

from tpos_live.evaluation.click_response import clicks, respond
from tpos_live.evaluation.metrics.report import Figure, text_table
from tpos_live.evaluation.sync import Watched, av_align, peaks, shuffled_align, strobe, sync, watch

Z, LAG = 5.0, 40.0
"""Thresholds: z-score of the correlation, and lag in milliseconds."""


def run(video: Path, foreign: Path | None, seed: int, as_json: bool) -> int:
    """Print the figures of a video; returns 0 if all thresholds are reached. foreign: a video with other music of about
    the same tempo, as a control; None = the demo track, stretched to that tempo. Raises SyncError."""
    seen = watch(video)
    return _print(figures(seen, _foreign(seen, foreign), seed), as_json)


def run_clicks(count: int, prompt: str, seed: int, as_json: bool) -> int:
    """Render clicks with the bundled engine and print the image's response."""
    import soundfile

    from tpos_live.audio.source import RATE
    from tpos_live.core.settings_loader import load_settings
    from tpos_live.runtime.offline import write_video

    sound, times = clicks(count, seed)
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder) / "clicks.wav", sound, RATE)
        settings = load_settings({"parameters.prompt": prompt, "record.resolution": "256x256"})
        write_video(settings, sound, Path(folder) / "clicks.mp4")
        seen = watch(Path(folder) / "clicks.mp4")
    answer = respond(seen.change, times, seen.fps)
    rows = [
        Figure("latency of a click", 1000 * answer.latency, unit="ms", n=count, note="to half of the strongest change"),
        Figure("decay", 1000 * answer.decay, unit="ms", n=count, note="from there to 1/e"),
        Figure("d' over idle motion", answer.d_prime, unit="", n=count),
    ]
    return _print(rows, as_json)


def figures(seen: Watched, foreign: np.ndarray, seed: int) -> list[Figure]:
    """All figures of one video. foreign: onset strength of other music at the same tempo, one value for each frame."""
    fps, seconds, count = seen.fps, len(seen.change) / seen.fps, len(seen.change)
    found = sync(seen.change, seen.onset, fps, seed=seed)
    most = sync(seen.onset, seen.onset, fps, seed=seed)
    # Only lags up to LAG: over half a second of lags, a sound that is half a beat off would be found again.
    place = sync(seen.change, seen.onset, fps, seed=seed, within=LAG / 1000)
    beat = 60 / seen.tempo if seen.tempo else 0.5
    half = sync(seen.change, seen.onset, fps, shift=beat / 2, seed=seed, within=LAG / 1000)
    other = sync(seen.change, foreign, fps, seed=seed)
    flashes = sync(strobe(count, fps, seen.tempo), seen.onset, fps, seed=seed)
    moved = peaks(seen.flow, fps)
    align, floor = av_align(seen.onsets, moved, fps), shuffled_align(seen.onsets, moved, fps, seconds, seed)
    return [
        Figure("z of the best correlation", found.z, Z, n=count, note=f"r {found.correlation:.2f}"),
        Figure("peak lag", abs(1000 * found.lag), LAG, least=False, unit="ms", note=f"{1000 * found.lag:+.0f} ms"),
        Figure("z of the sound with itself", most.z, note="about the most that this music allows"),
        Figure(f"z within {LAG:.0f} ms", place.z, note=f"r {place.correlation:.2f}"),
        Figure(f"z half a beat off, within {LAG:.0f} ms", half.z, note=f"r {half.correlation:.2f}"),
        Figure("z with other music of the tempo", other.z),
        Figure("z of a strobe on the beat", flashes.z, note=f"{seen.tempo:.1f} BPM"),
        Figure("AV-Align", align, n=len(seen.onsets)),
        Figure("AV-Align, shuffled", floor, n=20),
        Figure("AV-Align minus shuffled", align - floor),
    ]


def _foreign(seen: Watched, video: Path | None) -> np.ndarray:
    """Onset strength of other music, stretched to the tempo of `seen`, one value for each of its frames."""
    if video is not None:
        other = watch(video)
        onset, fps, tempo = other.onset, other.fps, other.tempo
    else:
        onset, fps, tempo = _demo(seen.fps), seen.fps, 128.0
    at = np.arange(len(seen.change)) / seen.fps * fps * (seen.tempo / tempo if tempo else 1.0)
    return np.interp(at % len(onset), np.arange(len(onset)), onset)


def _demo(fps: float) -> np.ndarray:
    import librosa

    from tpos_live.audio.demo import DEMO
    from tpos_live.audio.files import read_audio
    from tpos_live.audio.source import RATE

    mono = librosa.resample(read_audio(DEMO).mean(axis=1), orig_sr=RATE, target_sr=22_050)
    onset: np.ndarray = librosa.onset.onset_strength(y=mono, sr=22_050, hop_length=round(22_050 / fps))
    return onset


def _print(rows: list[Figure], as_json: bool) -> int:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row.row()))
    else:
        click.echo(text_table(rows))
    return 0 if all(row.passed is not False for row in rows) else 1
