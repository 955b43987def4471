"""`tpos-live train kinds`: linear discriminants that classify the kind of music from an encoder's embeddings.

The examples are songs of all styles, played by General MIDI soundfonts and embedded by the trained encoder, and the
songs that the encoder was trained with, whose embeddings are in its folder. A linear discriminant analysis (Fisher
1936) with a shrunk common covariance separates the kinds; a ridge regression separates music from the other sounds of
the encoder's training. The other weights of the encoder do not change.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tpos_live.audio_encoder.checkpoint import WEIGHTS, read_encoder, read_metadata, write_encoder
from tpos_live.audio_encoder.kinds import MEAN_SECONDS
from tpos_live.audio_encoder.load import FOLDER
from tpos_live.audio_encoder.streaming import TposEncoder
from tpos_live.core.atomic import check_writable
from tpos_live.core.envelope import share
from tpos_live.core.paths import shipped
from tpos_live.training.audio_model.clips import Clip
from tpos_live.training.errors import DataError
from tpos_live.training.synth.genre_tags import KINDS
from tpos_live.training.synth.music import open_soundfont, song
from tpos_live.training.synth.sound_effects import library
from tpos_live.training.synth.styles import STYLES

log = logging.getLogger(__name__)

SECONDS = 8.0
"""Length of a song."""
MOMENTS = (4.0, 8.0)
"""Seconds of a song after which its mean embedding is taken as an example."""
LEVELS, RMS = (0.1, 1.0), (0.03, 0.3)
"""Ranges of the final gain, and of the RMS before a limiter (tanh): from unlimited to loud masters."""
SHRINKAGE = 0.03
"""Shrinkage of the common covariance towards a multiple of the identity."""
RIDGE = 3.0
"""Penalty on the squared weights of the regression."""
INSTRUMENTS = frozenset(
    {
        "musical instrument", "keyboard (musical)", "organ", "synthesizer", "harpsichord", "percussion", "drum machine",
        "drum", "drums", "cymbal", "mallet percussion", "glockenspiel", "orchestra", "flute", "harp", "theremin",
        "wind instrument, woodwind instrument", "singing bowl", "singing", "chant", "mantra", "music for children",
    }
)  # fmt: skip
"""Labels of sounds that may be music or a single note: they are examples neither of music nor of other sounds."""


def train_kinds(soundfonts: Sequence[Path], songs: int, seed: int = 0, engine: Path | None = None) -> Path:
    """Fit the discriminants to `songs` songs of each style and soundfont and to those of the encoder's training.

    Writes them into the encoder of `engine` (default: Ember's) and returns its folder. Raises DataError, EncoderError.
    """
    for soundfont in soundfonts:
        open_soundfont(soundfont)
    home = engine or shipped("engines") / "ember"
    check_writable(home / FOLDER)
    encoder = read_encoder(home / FOLDER, home)
    styles = tuple(STYLES)
    plan = [
        (soundfont, *made) for n, soundfont in enumerate(soundfonts) for made in library(songs, seed + 1 + n, styles)
    ]
    found, kinds = [], []
    for soundfont, style, density, own in tqdm(plan, desc="songs", unit="song"):
        means = listen(encoder, mastered(style, density, own, soundfont))
        found += means
        kinds += [styles.index(style)] * len(means)
    from safetensors.numpy import load_file

    weights = load_file(home / FOLDER / WEIGHTS)
    if not {"heard", "heard.kinds"} <= weights.keys():
        raise DataError(f"{home / FOLDER} has no embeddings of its training sounds; train it again")
    heard, known = weights["heard"].astype(np.float64), weights["heard.kinds"]
    vectors = np.concatenate([np.reshape(found, (-1, encoder.dim)), heard[known >= 0]])
    classes = np.concatenate([np.array(kinds, int), known[known >= 0]])
    if len(set(classes.tolist())) < len(styles):
        raise DataError("kinds of music without songs to learn from; give a soundfont")
    recorded, others = music_and_others(encoder, heard[known < 0])
    music, bias = music_direction(np.concatenate([vectors, recorded]), others)
    directions, offsets = discriminants(vectors, classes)
    weights["kinds.weight"] = np.column_stack([music, directions]).astype(np.float32)
    weights["kinds.bias"] = np.array([bias, *offsets], np.float32)
    songs_in_all = len(plan) + int((known >= 0).sum())
    metadata = read_metadata(home / FOLDER)
    metadata["layout"] = metadata["layout"].describe()
    metadata["kinds"] = list(styles)
    metadata["training"] = {**metadata.get("training", {}), "songs": songs_in_all}
    write_encoder(home / FOLDER, weights, metadata)
    log.info(f"wrote {home / FOLDER}: {len(styles)} kinds of music from {songs_in_all} songs")
    return home / FOLDER


def composed(clips: Iterable[Clip]) -> np.ndarray:
    """int8 [n]: the index in STYLES of each synthetic song, which is named style/seed; -1 for other sounds."""
    numbers = {style: number for number, style in enumerate(STYLES)}
    return np.array([numbers.get(clip.name.partition("/")[0], -1) for clip in clips], np.int8)


def mastered(style: str, density: float, seed: int, soundfont: Path) -> np.ndarray:
    """A song with a random amount of limiting and a random level, float32 [n] at 48 kHz."""
    rng = np.random.default_rng(seed)
    sound = song(style, density, SECONDS, seed, soundfont).sound
    drive = rng.uniform(*RMS) / (np.sqrt((sound**2).mean()) + 1e-9)
    gain = np.exp(rng.uniform(*np.log(LEVELS)))
    return np.asarray(gain * np.tanh(drive * sound), np.float32)


def listen(encoder: TposEncoder, sound: np.ndarray) -> list[np.ndarray]:
    """The running mean of the embeddings after each of MOMENTS, as `KindTracker` computes it, float64 [dim] each."""
    return list(_means(encoder, sound))


def _means(encoder: TposEncoder, sound: np.ndarray) -> Iterator[np.ndarray]:
    encoder.reset()
    mean, moments = np.zeros(encoder.dim), iter((*MOMENTS, np.inf))
    moment = next(moments)
    for n, embedding in enumerate(encoder.push(sound)):
        mean = mean + (embedding.vector - mean) * (share(MEAN_SECONDS, encoder.period) if n else 1.0)
        if embedding.time >= moment - 1e-6:
            moment = next(moments)
            yield mean


def music_and_others(encoder: TposEncoder, heard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the embeddings of training sounds [m, dim] by the encoder's label: those that it labels as a kind of
    music, and those that it labels as neither music nor a mood nor an instrument."""
    music_words = {word for words in KINDS.values() for word in words}
    music = np.array([label.endswith("music") for label in encoder.labels])
    other = np.array([label not in music_words | INSTRUMENTS for label in encoder.labels]) & ~music
    named = np.array([int(encoder.label_scores(vector).argmax()) for vector in heard])
    return heard[music[named]], heard[other[named]]


def discriminants(
    vectors: np.ndarray, classes: np.ndarray, shrinkage: float = SHRINKAGE
) -> tuple[np.ndarray, np.ndarray]:
    """Directions [dim, k] and offsets [k] of a linear discriminant analysis of `vectors` [n, dim] with `classes` [n],
    0 to k - 1. The score of a class is its Gaussian log-likelihood, one covariance for all, without common terms."""
    count = int(classes.max()) + 1
    means = np.stack([vectors[classes == one].mean(axis=0) for one in range(count)])
    off = vectors - means[classes]
    covariance = off.T @ off / len(off)
    covariance += shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    centre = means.mean(axis=0)
    directions = np.linalg.solve(covariance, (means - centre).T)
    return directions, -0.5 * ((means + centre) * directions.T).sum(axis=1)


def music_direction(music: np.ndarray, others: np.ndarray, penalty: float = RIDGE) -> tuple[np.ndarray, float]:
    """Direction [dim] and offset of a ridge regression: target 1 for `music` [n, dim], -1 for `others` [m, dim]. Both
    groups have the same total weight."""
    vectors = np.concatenate([music, others])
    wanted = np.repeat([1.0, -1.0], [len(music), len(others)])
    weight = np.repeat([0.5 / len(music), 0.5 / len(others)], [len(music), len(others)]) * len(vectors)
    centre = weight @ vectors / weight.sum()
    off = vectors - centre
    direction = np.linalg.solve(
        off.T @ (weight[:, None] * off) + penalty * np.eye(off.shape[1]), off.T @ (weight * wanted)
    )
    return direction, float(-centre @ direction)
