"""Accuracy of the audio encoder's labels and densities: the measurements of `tpos-live evaluate encoder`.

Each clip goes through the streaming encoder in blocks of random length, after a reset. The predicted class is the one
whose text is nearest to the embedding after 1, 2 and 5 seconds, with the similarity of a live show. The density is
measured on procedural sounds of equal loudness.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from tpos_live.audio.source import RATE, AudioError
from tpos_live.audio_encoder.protocol import AudioEncoder
from tpos_live.features.features import HOP
from tpos_live.training.audio_model.clips import find_clips, fold_of, read_mono

log = logging.getLogger(__name__)

HEARD = (1.0, 2.0, 5.0)
"""Seconds of sound after which a class is predicted."""
Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to unit vectors float [n, dim] in the sentence space."""


@dataclass
class Answer:
    """One clip. text: its true class; said: the predicted class after each time of HEARD; seen: whether the encoder
    was trained on it."""

    name: str
    text: str
    fold: int
    said: list[str]
    seen: bool


@dataclass
class Answers:
    """Predictions for many clips. hops: length of the sound; seconds: processing time of the encoder; runs: number of
    zero-shot encoders."""

    clips: list[Answer] = field(default_factory=list)
    hops: int = 0
    seconds: float = 0.0
    runs: int = 0

    def __iadd__(self, other: Answers) -> Self:
        self.clips += other.clips
        self.hops, self.seconds = self.hops + other.hops, self.seconds + other.seconds
        return self


def listen(encoder: AudioEncoder, mono: np.ndarray, seed: int = 0) -> tuple[list[np.ndarray], float]:
    """The embedding after each time of HEARD (for a shorter clip its last one), and the processing time in seconds."""
    encoder.reset()
    rng = np.random.default_rng(seed)
    newest = np.zeros(encoder.dim, np.float32)
    found: list[np.ndarray] = []
    begin, at = time.perf_counter(), 0
    ends = [round(t * RATE) for t in HEARD]
    while at < min(len(mono), ends[-1]):
        block = min(int(rng.integers(1, 3 * HOP)), ends[len(found)] - at)
        for meaning in encoder.push(mono[at : at + block]):
            if np.any(meaning.vector):  # in silence keep the last embedding, as a live show does
                newest = meaning.vector
        at += block
        if at >= ends[len(found)]:
            found.append(newest)
    found += [newest] * (len(HEARD) - len(found))
    return found, time.perf_counter() - begin


def answer(
    encoder: AudioEncoder,
    csls_scorer: Callable[[np.ndarray], np.ndarray],
    files: Sequence[tuple[str, Path]],
    texts: Sequence[str],
    trained_on: frozenset[str],
) -> Answers:
    """Predict the class of every file. csls_scorer: similarity of an embedding to each of `texts`."""
    out = Answers()
    for index, (text, path) in enumerate(files):
        try:
            mono = read_mono(path)
        except AudioError as error:
            log.warning(f"left out: {error}")
            continue
        meanings, took = listen(encoder, mono, seed=index)
        said = [texts[int(np.argmax(csls_scorer(meaning)))] for meaning in meanings]
        name = f"{path.parent.name}/{path.name}"
        out.clips.append(Answer(name, text, fold_of(path), said, name in trained_on))
        out.hops += min(len(mono), round(HEARD[-1] * RATE)) // HOP
        out.seconds += took
    return out


def recording(name: str) -> str:
    """Name of the recording that a clip was cut from: folder and file up to its last dash ("3-144028-A" is of
    "3-144028")."""
    folder, _, file = name.partition("/")
    return f"{folder}/{file.rsplit('-', 1)[0] if '-' in file else file}"


def interval(clips: Sequence[Answer], at: int, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the accuracy after HEARD[at], by bootstrap over recordings (all clips of one together)."""
    groups: dict[str, list[bool]] = {}
    for clip in clips:
        groups.setdefault(recording(clip.name), []).append(clip.said[at] == clip.text)
    right = np.array([sum(group) for group in groups.values()], float)
    count = np.array([len(group) for group in groups.values()], float)
    picks = np.random.default_rng(seed).integers(len(right), size=(draws, len(right)))
    shares = right[picks].sum(axis=1) / count[picks].sum(axis=1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def summary(found: Answers) -> dict[str, Any]:
    """Figures for JSON: accuracy, interval and accuracy of each class, for each time of HEARD."""
    heard: dict[str, Any] = {}
    for at, seconds in enumerate(HEARD):
        # A list, not a dictionary by name: several encoders may predict the same clip.
        right = [(clip.text, clip.said[at] == clip.text) for clip in found.clips]
        kinds = sorted({clip.text for clip in found.clips})
        heard[f"{seconds:g}"] = {
            "accuracy": float(np.mean([hit for _, hit in right])),
            "interval": interval(found.clips, at),
            "per_class": {k: float(np.mean([hit for text, hit in right if text == k])) for k in kinds},
        }
    folds = sorted({clip.fold for clip in found.clips})
    last = len(HEARD) - 1
    return {
        "n": len(found.clips),
        "seen_in_training": sum(clip.seen for clip in found.clips),
        "heard": heard,
        "per_fold": {
            str(k): float(np.mean([c.said[last] == c.text for c in found.clips if c.fold == k])) for k in folds
        },
        "ms_a_hop": 1000 * found.seconds / max(found.hops, 1),
    }


def magnitude(encoder: AudioEncoder, kinds: Sequence[str], variants: int = 8, seed: int = 90_001) -> dict[str, Any]:
    """Rank correlation of the true and the predicted density over procedural sounds of equal loudness; the same of
    the RMS as a control.

    The seeds differ from those of the training. The prediction is the mean over the last 2 of 4 s.
    """
    from tpos_live.training.synth.sound_effects import make

    rng = np.random.default_rng(seed)
    each, rms_each, rows = {}, {}, []
    for kind in kinds:
        found = []
        for density in (np.arange(variants) + 0.5) / variants:
            mono = make(kind, float(density), 4.0, int(rng.integers(2**31)))
            encoder.reset()
            late = [m.density for m in encoder.push(mono) if m.time > 2.0]
            found.append((float(density), float(np.mean(late)), float(np.sqrt(np.mean(mono[2 * RATE :] ** 2)))))
        density_, magnitude_, rms_ = np.array(found).T
        each[kind] = ranked(density_, magnitude_)
        rms_each[kind] = ranked(density_, rms_)
        rows += found
    everything = np.array(rows).T
    return {
        "n": len(rows),
        "rank_correlation": ranked(everything[0], everything[1]),
        "rank_correlation_of_rms": ranked(everything[0], everything[2]),
        "mean_within_kinds": float(np.mean(list(each.values()))),
        "mean_within_kinds_of_rms": float(np.mean(list(rms_each.values()))),
        "per_kind": each,
    }


def ranked(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of [n] and [n]; equal values share their mean rank; 0 where one is constant."""

    def ranks(values: np.ndarray) -> np.ndarray:
        _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
        return np.asarray((np.cumsum(count) - (count - 1) / 2.0)[inverse])

    x, y = ranks(a), ranks(b)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def files_of(folder: Path, fold: int | None = None) -> list[tuple[str, Path]]:
    """Text and file of every clip, of one fold or all. Raises DataError."""
    return [(text, path) for text, path in find_clips(folder) if fold is None or fold_of(path) == fold]
