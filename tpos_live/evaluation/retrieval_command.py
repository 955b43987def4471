"""`tpos-live evaluate retrieval`: renders pieces of music, and lets a probe choose the sound for each silent video."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from tpos_live.audio.source import RATE
from tpos_live.core.atomic import atomic_write
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.evaluation.metrics.report import Figure, text_table
from tpos_live.evaluation.retrieval import CHOICES, Excerpt, accuracy, listen, look
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.frame_analysis import analyze_frames
from tpos_live.runtime.offline import improve
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.training.synth.pieces import BAR, TEMPO, piece

BARS, HEARD_BEFORE = 7, 2
"""Bars of a piece, and bars before its first image, in which gain control and beat tracking settle."""
SECONDS = (BARS - HEARD_BEFORE) * BAR
OUTPUT = (128, 128)
BAR_ACCURACY = 0.6
FEW = 4
"""Up to this number of pieces the engine is not converted, because the conversion would take longer."""
GROUPINGS = 10
"""Number of random groupings of the excerpts over which the accuracy is averaged."""
OSCILLATOR = "oscillator"
SWING = 0.02, 0.2, 0.1
"""Amplitudes of zoom, exposure and bloom of the oscillator: about those of a kick, a drop and hats."""
Value = float | int | str
WAYS: Mapping[str, tuple[str, Mapping[str, Value]]] = {
    "all": ("retrieval", {}),
    "no-meaning": ("retrieval without the meaning path", {"audio.weight": 0.0}),
    "no-fast": ("retrieval without the fast path", {"audio.sensitivity": 0.0}),
    OSCILLATOR: ("retrieval with an oscillator for the sound", {"audio.weight": 0.0, "audio.sensitivity": 0.0}),
}
"""Conditions by name: the name of the figure, and the parameters that restrict how the sound acts on the image."""


class RetrievalError(Exception):
    """One line: what cannot be read or written, and what to do."""


def run(
    count: int,
    folder: Path,
    size: str,
    fps: int,
    prompt: str,
    seed: int,
    as_json: bool,
    ways: Sequence[str] = (),
) -> int:
    """Render the pieces that are not in `folder` yet and print the figures; returns 0 if the threshold is reached.

    count: pieces, 2 * CHOICES or more. size: of the engine's images, "128" or "256x256". ways: of WAYS, empty = all.
    """
    rows = []
    for way in ways or WAYS:
        name, values = WAYS[way]
        drawn = excerpts(count, folder, size, fps, prompt, seed, values, swings=way == OSCILLATOR)
        found = [accuracy(drawn, seed=shuffle) for shuffle in range(GROUPINGS)]
        note = f"chance {1 / CHOICES:.1%}; {min(found):.0%} to {max(found):.0%} over {GROUPINGS} groupings"
        bar = BAR_ACCURACY if way == "all" else None
        rows.append(Figure(name, float(np.mean(found)), bar, unit="%", n=len(drawn), note=note))
    click.echo("\n".join(json.dumps(row.row()) for row in rows) if as_json else text_table(rows))
    return 0 if all(row.passed is not False for row in rows) else 1


def excerpts(
    count: int,
    folder: Path,
    size: str,
    fps: int,
    prompt: str,
    seed: int,
    values: Mapping[str, Value],
    swings: bool = False,
) -> list[Excerpt]:
    """The features of `count` pieces; each is saved in `folder` once it is rendered, so that a run can be resumed.

    swings: let an oscillator at the true tempo move the images (see `swung`).

    Raises RetrievalError where the folder cannot be written, and EngineError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RetrievalError(f"{folder}: cannot be made ({error.strerror}); name another with --work") from error
    settings = load_settings({"engine.name": "ember", "engine.size": size, "parameters.prompt": prompt})
    start = {**settings.start_values(), **values, "out.inbetween": False}
    facts = {**start, OSCILLATOR: swings} if swings else start
    paths = [folder / f"{_key(facts, size, fps, seed + number)}.npz" for number in range(count)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if missing:
        with Pipeline(settings, live=False) as pipeline:
            if len(missing) > FEW:
                improve(pipeline)
            for number in tqdm(missing, unit="piece", disable=not sys.stderr.isatty()):
                _keep(paths[number], _draw(pipeline, ParameterStore(start), fps, seed + number, number, swings))
    return [_kept(path) for path in paths]


def _draw(pipeline: Pipeline, store: ParameterStore, fps: int, seed: int, number: int, swings: bool) -> Excerpt:
    sound = piece(seed, BARS)
    before = round(HEARD_BEFORE * BAR * fps)
    # A different noise seed for each piece, so that the probe cannot recognise a piece by its images.
    store.set("seed", seed)
    snapshot = store.snapshot()
    pipeline.encoder.reset()
    audio_processor, compositor, interpolator = (
        AudioProcessor(pipeline.encoder),
        CpuCompositor(OUTPUT),
        FrameInterpolator(OUTPUT),
    )
    shown: list[np.ndarray] = []
    begin = 4 * number * SECONDS  # the pipeline's clock must increase
    for k, params in enumerate(analyze_frames(audio_processor, snapshot, sound, fps)):
        if k < before:
            continue
        if swings:
            params = swung(params)
        frame = pipeline.draw(params, audio_processor.embedding.latest(), snapshot, now=begin + params.time)
        interpolator.take(frame)
        shown.append(compositor.compose(interpolator.display_frame(params.time, params, snapshot).postfx, frame))
    mono = sound[round(before / fps * RATE) :].mean(axis=1)
    return Excerpt(look(shown), listen(mono, len(shown), fps))


def swung(params: FrameParams) -> FrameParams:
    """The parameters with an oscillation of one period per bar added; it follows the tempo but not the sound."""
    turn = math.cos(2 * math.pi * params.time / BAR)
    zoom, exposure, bloom = (far * turn for far in SWING)
    return replace(params, zoom=zoom, exposure=exposure, bloom=bloom)


def _key(start: Mapping[str, object], size: str, fps: int, seed: int) -> str:
    """A hash of all inputs of a rendered piece, except code and weights."""
    text = json.dumps([sorted(start.items()), size, fps, seed, BARS, TEMPO, OUTPUT])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _keep(path: Path, excerpt: Excerpt) -> None:
    try:
        with atomic_write(path) as part:
            np.savez_compressed(part, seen=excerpt.seen, heard=excerpt.heard)
    except OSError as error:
        raise RetrievalError(f"{path}: cannot be written ({error.strerror}); name another with --work") from error


def _kept(path: Path) -> Excerpt:
    try:
        with np.load(path) as kept:
            return Excerpt(kept["seen"], kept["heard"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RetrievalError(f"{path}: cannot be read; delete it, and it is drawn again") from error
