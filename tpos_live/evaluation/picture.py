"""Does the picture show what is heard? Frames driven by sound alone, named by the judge."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np

from tpos_live.conditioning.vocabulary import NEAR, load_vocabulary
from tpos_live.evaluation.artist import as_tensor
from tpos_live.evaluation.figures import Figure, text_table
from tpos_live.evaluation.judge import Judge, load_judge
from tpos_live.listener import Listener
from tpos_live.offline import improve, pictures
from tpos_live.parameters import ParameterStore, Snapshot
from tpos_live.settings import load_settings
from tpos_live.sound.source import RATE, SoundError
from tpos_live.studio import Studio

SECONDS = 5.0
LOOKED_AT = 5
"""Pictures at the end that the judge sees; the scene named most often is the answer."""
FPS = 5
Example = tuple[str, np.ndarray]
"""What a sound is, in words, and the sound: mono float32 at 48 kHz."""


def made(variants: int, seed: int) -> Iterator[Example]:
    """Procedural sounds with seeds that no training has."""
    from tpos_live.training.sounds import library, make

    for text, density, made_from in library(variants, seed + 90_001):
        yield text, make(text, max(density, 0.3), SECONDS, made_from)


def recorded(folder: Path, report: Callable[[str], None]) -> Iterator[Example]:
    """The clips of a folder with a folder for each class; what cannot be read is reported. Raises DataError."""
    from tpos_live.training.clips import find_clips, read_mono

    for text, path in find_clips(folder):
        try:
            yield text, read_mono(path)[: round(SECONDS * RATE)]
        except SoundError as error:
            report(f"left out: {error}")


def evaluate_picture(
    examples: Iterator[Example], seed: int, as_json: bool, report: Callable[[str], None]
) -> list[Figure]:
    """Draw each sound with no prompt and the sound's full weight, let the judge name it, and print the figures.

    A class counts if the engine's vocabulary has a scene for its name: a siren looks like nothing that Ember draws.
    """
    settings = load_settings({"engine.name": "ember"})
    values: dict[str, float | int | str] = {"prompt": "", "audio.weight": 1.0, "audio.mode": "blend", "seed": seed}
    snapshot = ParameterStore({**settings.start_values(), **values}).snapshot()
    with Studio(settings, live=False) as studio:
        improve(studio)
        judge, _ = load_judge(studio.engine.folder)
        vocabulary = load_vocabulary(studio.engine.folder, studio.engine.sentences)
        seen: dict[str, list[bool]] = {}
        wanted: dict[str, str | None] = {}
        for index, (text, mono) in enumerate(examples):
            if text not in wanted:
                found = vocabulary.understand(text) if vocabulary else None
                wanted[text] = found.families[0] if found and found.families and found.near >= NEAR else None
                if wanted[text] is None:
                    report(f"left out: {text}, for which the engine has no scene")
            if wanted[text] is not None:
                begin = index * 2 * SECONDS
                seen.setdefault(text, []).append(_drawn(studio, judge, snapshot, mono, begin) == wanted[text])
    right = [answer for answers in seen.values() for answer in answers]
    rows = [Figure("picture by sound alone", float(np.mean(right or [False])), 0.85, unit="%", n=len(right))]
    rows += [
        Figure(f"  {text} as {wanted[text]}", float(np.mean(answers)), unit="%", n=len(answers))
        for text, answers in sorted(seen.items())
    ]
    click.echo("\n".join(json.dumps(row.row()) for row in rows) if as_json else text_table(rows))
    return rows


def _drawn(studio: Studio, judge: Judge, snapshot: Snapshot, mono: np.ndarray, begin: float) -> str:
    """The family that the judge names most often in the last pictures of a sound, heard from a fresh start.

    begin: seconds on the mixer's clock, which only runs forward; what was heard before has faded by the end.
    """
    studio.encoder.reset()
    sound = np.repeat(mono[:, None], 2, axis=1)
    listener = Listener(studio.encoder)
    last: deque[np.ndarray] = deque(maxlen=LOOKED_AT)
    for drive in pictures(studio, listener, snapshot, sound, FPS):
        frame = studio.draw(drive, listener.meaning.latest(), snapshot, now=begin + drive.time)
        if frame is not None:
            last.append(frame.pixels.copy())
    if not last:
        return ""
    votes = judge(as_tensor(list(last)))[0].argmax(1)
    return judge.families[int(votes.bincount(minlength=len(judge.families)).argmax())]
