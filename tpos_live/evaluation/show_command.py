"""`tpos-live evaluate show`: the figures of `show.py` for tracks, with controls that should score lower."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import click
import numpy as np

from tpos_live.audio.demo import DEMO
from tpos_live.audio.source import AudioError
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.evaluation.metrics.report import Figure, text_table
from tpos_live.evaluation.show import (
    FEWEST,
    DropMatch,
    ShowError,
    d_prime,
    impulses,
    match_drops,
    oscillator_d_prime,
    read_drops,
    scenes,
)
from tpos_live.evaluation.show_render import SeenShow, watch

log = logging.getLogger(__name__)

ENDINGS = frozenset({".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"})
RECALL, FALSE_DROPS, FLASHES, KEPT = 0.8, 1.0, 0.005, 0.85
"""Thresholds: share of listed drops found, false drops in 5 minutes, share of frames with the flash limiter, share of
images with the prompt's scene."""
LIT, WITHIN_LIT = (0.06, 0.09), 0.9
"""Target range of the luminance's rise at a kick, and the share of kicks that must be within it."""
SIMILAR_60, SIMILAR_1 = 0.45, 0.8
"""Largest similarity after 60 s, and smallest after 1 s."""
SCENES = 6
"""Smallest number of different scenes over a folder without a prompt."""


def run(
    audio: Path,
    seconds: float,
    fps: int,
    size: str,
    resolution: str,
    prompt: str | None,
    accelerator: str,
    seed: int,
    as_json: bool,
) -> int:
    """Render and measure a file, or every file of a folder; returns 0 if all thresholds are reached. prompt: None =
    that of the settings, "" = no prompt. Raises AudioError, ShowError."""
    options: dict[str, object] = {
        "engine.size": size,
        "engine.accelerator": accelerator,
        "record.resolution": resolution,
        "parameters.seed": seed,
        "seconds": seconds,
    }
    if prompt is not None:
        options["parameters.prompt"] = prompt
    settings = load_settings(options)
    shows = _watch_all(audio, settings, fps)
    rows = [row for index, seen in enumerate(shows) for row in figures(seen, _other(shows, index))]
    if audio.is_dir():
        rows += folder_figures(shows)
    click.echo("\n".join(json.dumps(row.row()) for row in rows) if as_json else text_table(rows))
    return 0 if all(row.passed is not False for row in rows) else 1


def _watch_all(audio: Path, settings: Settings, fps: int) -> list[SeenShow]:
    if not audio.is_dir():
        return [watch(audio, settings, fps)]
    paths = sorted(path for path in audio.iterdir() if path.suffix.lower() in ENDINGS)
    if not paths:
        raise ShowError(f"{audio}: no audio files in it; take a folder with {', '.join(sorted(ENDINGS))} files")
    shows = []
    for path in paths:
        try:
            shows.append(watch(path, settings, fps))
        except (AudioError, ShowError) as error:
            log.warning(f"left out: {error}")
    if not shows:
        raise ShowError(f"{audio}: none of its {len(paths)} files can be measured")
    return shows


def _other(shows: list[SeenShow], index: int) -> np.ndarray:
    """Times of the kicks of another track, a control: of the next track, or of the demo if there is only one track."""
    if len(shows) > 1:
        return np.array(shows[(index + 1) % len(shows)].heard.kicks)
    return np.array(json.loads(DEMO.with_suffix(".json").read_text(encoding="utf-8"))["kicks"])


def figures(seen: SeenShow, other: np.ndarray) -> list[Figure]:
    """All figures of one track. other: times of the kicks of another track, in seconds."""
    name, heard, kicks = seen.name, seen.heard, np.array(seen.heard.kicks)
    same = seen.similarity
    rows = [
        Figure(
            f"{name}: d' of kicks", d_prime(seen.change, kicks, seen.fps), n=len(kicks), note="four on the floor: 3"
        ),
        Figure("  with another track's kicks", d_prime(seen.change, other, seen.fps), n=len(other)),
        Figure(
            "  with an oscillator",
            oscillator_d_prime(seen.change, heard.tempo, seen.fps),
            note=f"{heard.tempo:.1f} BPM",
        ),
        *_light_figures(seen),
        *_drop_figures(seen),
        *(Figure(f"  similarity after {lag} s", value) for lag, value in same.items() if not math.isnan(value)),
        Figure("  different scenes", len(scenes(seen.names)), note=", ".join(sorted(scenes(seen.names)))),
        Figure(
            "  flash limiter acts", seen.limited / len(seen.change), FLASHES, least=False, unit="%", n=len(seen.change)
        ),
    ]
    if seen.wanted:
        kept = float(np.mean([named == seen.wanted for named in seen.names]))
        rows.append(Figure("  prompt kept", kept, KEPT, unit="%", n=len(seen.names), note=seen.wanted))
    return rows


def _light_figures(seen: SeenShow) -> list[Figure]:
    """Rise of the luminance at kicks: the median, and the share within LIT if there are at least FEWEST kicks."""
    rises = impulses(seen.light, np.array(seen.heard.kicks), seen.fps)
    median = float(np.median(rises)) if len(rises) else math.nan
    rows = [Figure("  light impulse of a kick", median, unit="%", n=len(rises))]
    if len(rises) >= FEWEST:
        within = float(np.mean((rises >= LIT[0]) & (rises <= LIT[1])))
        rows.append(Figure("  kicks of 6 to 9 % light", within, WITHIN_LIT, unit="%", n=len(rises)))
    return rows


def _drop_figures(seen: SeenShow) -> list[Figure]:
    """Recall of drops and false drops for listed tracks; the number of detected drops for others."""
    found = seen.heard
    if seen.name not in read_drops():
        return [Figure("  drops found", len(found.drops), note="not on the list")]
    matched = _matched(seen)
    listed = matched.found + matched.missed
    five_minutes = max(seen.seconds / 300.0, 1e-6)
    rows = [Figure("  false drops in 5 min", matched.false / five_minutes, FALSE_DROPS, least=False, n=matched.false)]
    if listed:
        rows.insert(0, Figure("  drops found", matched.found / listed, RECALL, unit="%", n=listed))
    return rows


def _matched(seen: SeenShow) -> DropMatch:
    listed = [time for time in read_drops()[seen.name] if time < seen.seconds]
    return match_drops(seen.heard.drops, listed, seen.heard.drop_beats)


def folder_figures(shows: list[SeenShow]) -> list[Figure]:
    """Figures over all tracks."""
    every = set().union(*(scenes(seen.names) for seen in shows))
    matches = [_matched(seen) for seen in shows if seen.name in read_drops()]
    listed = sum(match.found + match.missed for match in matches)
    primes = [d_prime(seen.change, np.array(seen.heard.kicks), seen.fps) for seen in shows]
    free = not any(seen.wanted for seen in shows) and len(shows) >= SCENES
    rows = [
        Figure("all: different scenes", len(every), SCENES if free else None, note=", ".join(sorted(every))),
        Figure("all: d' of kicks, median", float(np.nanmedian(primes)) if np.isfinite(primes).any() else math.nan,
               n=len(shows)),
    ]  # fmt: skip
    for lag, bar, least in ((1, SIMILAR_1, True), (60, SIMILAR_60, False)):
        values = [seen.similarity[lag] for seen in shows if not math.isnan(seen.similarity[lag])]
        if values:
            rows.append(Figure(f"all: similarity after {lag} s", float(np.mean(values)), bar, least, n=len(values)))
    if listed:
        found = sum(match.found for match in matches)
        rows.append(Figure("all: drops found", found / listed, RECALL, unit="%", n=listed))
    return rows
