"""Endless streams of training audio: randomly cut clips one after another, augmented anew each time.

All augmentation acts on log-mels, which is fast. Rows i and i + rows / 2 of a batch have the same clips, cuts and speed
but different augmentation (gain, spectrum, pitch, noise), for the contrastive loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tpos_live.audio_encoder.streaming import SILENT_DB, STEP_HOPS
from tpos_live.features.spectrum import MELS
from tpos_live.training.audio_model.clips import Clip

GAIN_DB = 20.0
"""Largest random gain, up or down."""
AUDIBLE_DB = 45.0
"""Threshold below the clip's loudest hop; quieter hops do not count as the beginning of the clip."""
_ONSET_HOPS = 25
"""Audible hops at the beginning of a clip whose loss has a weight of 0.3."""
_NEPERS = np.float32(np.log(10.0) / 10.0)
"""Natural logarithm of a power ratio of 1 dB."""


def equalized(mel: np.ndarray, rng: np.random.Generator, gain: float) -> np.ndarray:
    """Mels in dB [n, MELS] with a random smooth equalisation (standard deviation 3 dB at 6 points) and a random gain
    of up to `gain` dB, as from another microphone. Silence stays silent."""
    colour = np.interp(np.linspace(0, 1, MELS), np.linspace(0, 1, 6), rng.normal(0, 3.0, 6))
    augmented = mel + (colour + rng.uniform(-gain, gain)).astype(np.float32)
    augmented[mel <= SILENT_DB + 1.0] = SILENT_DB
    return np.maximum(augmented, SILENT_DB)


@cache
def _noise_mels() -> np.ndarray:
    """float32 [1000, MELS]: noise as mels in dB, about 0 dB. Cached: new random numbers would take more time than all
    other augmentation."""
    return (10.0 * np.log10(np.random.default_rng(0).gamma(4.0, 0.25, (1000, MELS)))).astype(np.float32)


def with_room(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mels with random room noise added."""
    slope = rng.uniform(-12.0, 3.0) * np.linspace(0, 1, MELS) + rng.uniform(-100.0, -75.0)
    noise = _noise_mels()[(rng.integers(1000) + np.arange(len(mel))) % 1000] + slope.astype(np.float32)
    return np.maximum(np.logaddexp(mel * _NEPERS, noise * _NEPERS) / _NEPERS, SILENT_DB).astype(np.float32)


@dataclass
class Batch:
    """mel: dB float32 [rows, prefix + hops, MELS]. For each step [rows, steps]: label, an index of the texts; weight of
    the loss, 0 before the clip becomes audible; density, NaN where unknown. fresh: bool [rows], True where a new
    stream begins. Row i + rows / 2 is another augmentation of row i."""

    mel: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    density: np.ndarray
    fresh: np.ndarray


@dataclass
class _Row:
    mel: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    density: np.ndarray


class Streams:
    """Draws batches; for one thread. Each row continues the stream of the last batch unless `Batch.fresh` is set."""

    def __init__(
        self, clips: Sequence[Clip], texts: Sequence[str], rows: int, hops: int, prefix: int, seed: int,
        real: float = 0.75,
    ) -> None:  # fmt: skip
        """prefix: earlier hops in the receptive field of the first step. hops: length of a batch, a multiple of
        STEP_HOPS. real: share of recorded clips, whose density is unknown."""
        self._rng = np.random.default_rng(seed)
        self._rows, self._hops, self._prefix = rows, hops, prefix
        number = {text: index for index, text in enumerate(texts)}
        self._kinds: list[dict[int, list[Clip]]] = [{}, {}]
        for clip in clips:
            self._kinds[int(np.isfinite(clip.density))].setdefault(number[clip.text], []).append(clip)
        self._real = real if all(self._kinds) else float(bool(self._kinds[0]))
        empty = _Row(np.zeros((0, MELS), np.float32), np.zeros(0, np.int64), *np.zeros((2, 0), np.float32))
        self._queue = [empty] * rows
        self._tail = np.full((rows, prefix, MELS), SILENT_DB, np.float32)
        self._begun = False

    def draw(self) -> Batch:
        """The next `hops` of every stream."""
        half, rng = self._rows // 2, self._rng
        fresh = np.tile(rng.random(half) < (0.35 if self._begun else 1.0), 2)
        self._begun = True
        for row in range(half):
            pair = (row, row + half)
            if fresh[row]:
                for one in pair:
                    self._queue[one] = self._slice(self._queue[one], 0, 0)
                    self._tail[one] = SILENT_DB
            while len(self._queue[row].label) < self._hops:
                plain = self._draw_clip(whole=fresh[row] and not len(self._queue[row].label))
                for one in pair:
                    augmented = _Row(self._augment(plain.mel), plain.label, plain.weight, plain.density)
                    self._queue[one] = self._join(self._queue[one], augmented)
        now = [self._slice(row, 0, self._hops) for row in self._queue]
        self._queue = [self._slice(row, self._hops, None) for row in self._queue]
        mel = np.concatenate([self._tail, np.stack([row.mel for row in now])], axis=1)
        self._tail = mel[:, -self._prefix :].copy()
        ends = slice(STEP_HOPS - 1, None, STEP_HOPS)
        label, weight, density = (
            np.stack([getattr(row, name)[ends] for row in now]) for name in ("label", "weight", "density")
        )
        return Batch(mel, label, weight, density, fresh)

    def _draw_clip(self, whole: bool) -> _Row:
        """A random clip, randomly cut and resampled in time; whole: keep it to its end."""
        rng = self._rng
        kind = self._kinds[0 if rng.random() < self._real else 1]
        label = list(kind)[rng.integers(len(kind))]
        clip = kind[label][rng.integers(len(kind[label]))]
        mel = clip.mel.astype(np.float32)
        heard = np.cumsum(mel.max(axis=1) > max(float(mel.max()) - AUDIBLE_DB, -85.0)) > 0
        start = 0
        if not whole or rng.random() < 0.3:
            start = int(rng.integers(max(len(mel) - 100, 1)))
            if rng.random() < 0.7:  # start at an audible hop
                sounding = np.flatnonzero(mel.max(axis=1) > float(mel.max()) - AUDIBLE_DB)
                start = max(int(rng.choice(sounding)) - 10, 0)
                heard = np.cumsum(np.arange(len(mel)) >= start + 10) > 0
        length = len(mel) - start if whole or rng.random() < 0.5 else int(rng.integers(100, 501))
        speed = float(np.exp(rng.uniform(-0.18, 0.18)))
        index = (start + np.arange(0, min(length, len(mel) - start), speed)).astype(int)
        mel, heard = mel[index], heard[index]
        weight = np.where(np.cumsum(heard) > _ONSET_HOPS, 1.0, 0.3) * heard
        n = len(mel)
        return _Row(mel, np.full(n, label), weight.astype(np.float32), np.full(n, clip.density, np.float32))

    def _augment(self, mel: np.ndarray) -> np.ndarray:
        """Random pitch shift, equalisation, gain, room noise and masked bands; in 30 % of the calls no change."""
        rng = self._rng
        if rng.random() < 0.3:
            return mel
        if rng.random() < 0.5:
            shift = int(rng.integers(-3, 4))
            mel = mel[:, np.clip(np.arange(MELS) + shift, 0, MELS - 1)]
        mel = equalized(mel, rng, GAIN_DB)
        if rng.random() < 0.4:
            mel = with_room(mel, rng)
        for _ in range(int(rng.integers(2))):
            width = int(rng.integers(1, 9))
            at = int(rng.integers(MELS - width))
            mel[:, at : at + width] = mel.mean(axis=1, keepdims=True)
        return mel

    @staticmethod
    def _slice(row: _Row, start: int, end: int | None) -> _Row:
        return _Row(row.mel[start:end], row.label[start:end], row.weight[start:end], row.density[start:end])

    @staticmethod
    def _join(a: _Row, b: _Row) -> _Row:
        return _Row(
            np.concatenate([a.mel, b.mel]),
            np.concatenate([a.label, b.label]),
            np.concatenate([a.weight, b.weight]),
            np.concatenate([a.density, b.density]),
        )
