"""Training clips for the audio encoder, as log-mels of the same front end that a live show uses.

Recorded clips lie in one folder for each class. The folder's name, with spaces in place of underscores, is the text of
the class. The fold of a clip is the first number of its file name ("3-144028-A.ogg" is in fold 3), 0 without a number.
Procedural sounds and synthetic songs are made here too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tpos_live.audio.files import read_audio
from tpos_live.audio.source import AudioError
from tpos_live.core.atomic import atomic_write
from tpos_live.features.spectrum import MELS, ShortTimeSpectrum, mel_db, mel_power
from tpos_live.training.errors import DataError

log = logging.getLogger(__name__)

SUFFIXES = (".ogg", ".wav", ".flac", ".mp3", ".aif", ".aiff", ".opus", ".m4a")
SHORTEST = 0.3
"""Seconds; shorter clips are refused."""
SOUND_SECONDS = 4.0
"""Length of a procedural sound."""
SONG_SECONDS = 6.0
"""Length of a song that the audio backbone is pretrained with."""


@dataclass(frozen=True)
class Clip:
    """One sound. text: its class in words; name: folder/file; mel: float16 [hops, MELS] in dB.

    density: how many events there are, 0 to 1, for procedural sounds; NaN for recordings.
    """

    text: str
    name: str
    fold: int
    mel: np.ndarray
    density: float = float("nan")


@dataclass(frozen=True)
class Sound:
    """mono: float32 [n] at 48 kHz. labels: known words with their shares; empty where the teacher is to label it."""

    name: str
    mono: np.ndarray
    labels: Mapping[str, float] = field(default_factory=dict)


def log_mel(mono: np.ndarray) -> np.ndarray:
    """float32 [hops, MELS] in dB of float32 [n] at 48 kHz, one row for each hop, as in a live show."""
    rows = [mel_db(mel_power(power)) for power in ShortTimeSpectrum().push(mono)]
    return np.array(rows, np.float32).reshape(-1, MELS)


def find_clips(folder: Path) -> list[tuple[str, Path]]:
    """Text and file of every clip, sorted. Raises DataError for a folder with fewer than two classes."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with a folder of sound files for each class")
    found = []
    for kind in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = sorted(path for path in kind.iterdir() if path.suffix.lower() in SUFFIXES)
        found += [(kind.name.replace("_", " ").strip(), path) for path in files]
    texts = {text for text, _ in found}
    if not texts:
        raise DataError(f"{folder} has no sound files in folders; it needs a folder of them for each class")
    if len(texts) == 1:
        raise DataError(f"{folder} has one class only ({texts.pop()}); at least two can be told apart")
    return found


def fold_of(path: Path) -> int:
    """The number that a file's name begins with; 0 without one."""
    match = re.match(r"\d+", path.name)
    return int(match.group()) if match else 0


def check_fold(folder: Path, fold: int | None, folds: Iterable[int]) -> None:
    """Raise DataError for a fold that is not among the `folds` of a folder; None passes."""
    known = sorted(set(folds))
    if fold is not None and fold not in known:
        raise DataError(f"{folder} has no fold {fold}; its folds are {', '.join(map(str, known))}")


def check_classes(folder: Path, without: Iterable[str], texts: Iterable[str]) -> None:
    """Raise DataError where a class of `without` is not among the `texts` of a folder."""
    missing = sorted(set(without) - set(texts))
    if missing:
        raise DataError(f"{folder} has no class {', '.join(missing)} to leave out")


def left_out(fold: int | None, classes: Iterable[str]) -> str:
    """Name of what a training leaves out, for file names: "fold-3-without-rain"; "" for nothing."""
    names = "-".join(classes).replace(" ", "_")
    return "-".join([f"fold-{fold}"] * (fold is not None) + [f"without-{names}"] * bool(names))


def read_mono(path: Path) -> np.ndarray:
    """float32 [n] at 48 kHz. Raises AudioError for a file that cannot be read or is shorter than SHORTEST."""
    sound = read_audio(path)
    mono = np.ascontiguousarray(sound.mean(axis=1, dtype=np.float32))
    if len(mono) < SHORTEST * 48_000:
        raise AudioError(f'"{path}" is shorter than {SHORTEST} s')
    return mono


def read_clips(folder: Path, cache: Path | None) -> list[Clip]:
    """Every clip of `folder`. Each file that cannot be used is left out with a warning.

    cache: an .npz file that keeps the mels; written again where it is missing or out of date. Raises DataError.
    """
    found = find_clips(folder)
    known = _read_cache(cache)
    kept: dict[str, np.ndarray] = {}
    clips = []
    for text, path in tqdm(found, desc="clips", unit="clip", disable=len(known) >= len(found)):
        name, stat = f"{path.parent.name}/{path.name}", path.stat()
        key = f"{name}|{stat.st_size}|{stat.st_mtime_ns}"
        try:
            mel = known[key] if key in known else log_mel(read_mono(path)).astype(np.float16)
        except AudioError as error:
            log.warning(f"left out: {error}")
            continue
        kept[key] = mel
        clips.append(Clip(text, name, fold_of(path), mel))
    texts = {clip.text for clip in clips}
    if len(texts) < 2:
        raise DataError(f"{folder} has {len(texts)} classes that can be read; at least two can be told apart")
    _write_cache(cache, kept, known)
    return clips


def made_clips(variants: int, count: float, seed: int, cache: Path | None) -> list[Clip]:
    """Procedural sounds as clips: `variants` of each kind, each `count` seconds long. cache: as in `read_clips`."""
    from tpos_live.training.synth.sound_effects import library, make

    plan = library(variants, seed)
    known = _read_cache(cache)
    kept = {}
    for text, density, own in tqdm(plan, desc="sounds", unit="sound", disable=len(known) >= len(plan)):
        key = f"{text}|{density}|{count}|{own}"
        kept[key] = known[key] if key in known else log_mel(make(text, density, count, own)).astype(np.float16)
    _write_cache(cache, kept, known)
    return [
        Clip(text, f"{text}/{own}", 0, mel, density)
        for (text, density, own), mel in zip(plan, kept.values(), strict=True)
    ]


def made_sounds(variants: int, count: float, seed: int) -> Iterator[Sound]:
    """The sounds of `made_clips` as samples, one after another."""
    from tpos_live.training.synth.sound_effects import library, make

    for text, density, own in library(variants, seed):
        yield Sound(f"{text}/{own}", make(text, density, count, own))


def made_music(variants: int, seed: int, soundfont: Path) -> Iterator[Sound]:
    """`variants` songs of each style, with evenly spread densities, as loud as the procedural sounds. Their labels are
    kind and mood. Raises DataError."""
    from tpos_live.training.synth.genre_tags import in_words
    from tpos_live.training.synth.music import song
    from tpos_live.training.synth.sound_effects import levelled, library
    from tpos_live.training.synth.styles import STYLES

    for style, density, own in library(variants, seed + 1, STYLES):
        made = song(style, density, SONG_SECONDS, own, soundfont)
        yield Sound(f"{style}/{own}", levelled(made.sound), in_words(style, made.energy, made.light))


def _write_cache(cache: Path | None, kept: dict[str, np.ndarray], known: dict[str, np.ndarray]) -> None:
    if cache is None or kept.keys() == known.keys():
        return
    with atomic_write(cache) as part:
        np.savez(part, **kept)  # type: ignore[arg-type]


def _read_cache(cache: Path | None) -> dict[str, np.ndarray]:
    if cache is None or not cache.exists():
        return {}
    try:
        with np.load(cache, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, KeyError):
        return {}
