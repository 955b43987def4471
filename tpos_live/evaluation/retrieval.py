"""Retrieval: a probe that was fitted on other music chooses which of eight sounds belongs to a silent video.

The probe is a ridge regression from features of five neighbouring images to features of the sound at the middle one. It
chooses the sound with the highest correlation to its prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.core.optional_library import optional_library

CHOICES = 8
SIDE = 64
CONTEXT = 2
"""Neighbouring images on each side in the probe's input."""
RIDGE = 30.0
"""Regularisation of the probe."""
_EDGES = (20, 120, 300, 700, 1500, 3000, 6000, 16_000)
_WINDOW = 0.046


@dataclass(frozen=True)
class Excerpt:
    """Features of one piece of music: seen [images, 7] of its video, heard [images, 15] of its sound."""

    seen: np.ndarray
    heard: np.ndarray


def look(images: Sequence[np.ndarray]) -> np.ndarray:
    """Features of images uint8 [h, w, 3]: mean L, a, b, contrast, chroma, and the change since the previous image
    (mean CIELAB distance, and of L only): float64 [images, 7]."""
    cv2 = optional_library("cv2", "evaluate")
    rows, before = [], None
    for image in images:
        small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
        step = lab - (lab if before is None else before)
        chroma = np.hypot(lab[:, 1], lab[:, 2]).mean()
        moved = np.linalg.norm(step, axis=1).mean()
        rows.append([*lab.mean(axis=0), lab[:, 0].std(), chroma, moved, np.abs(step[:, 0]).mean()])
        before = lab
    return np.array(rows, float)


def listen(mono: np.ndarray, count: int, fps: float) -> np.ndarray:
    """Features of a sound (float [n] at 48 kHz): level and rise of seven bands, and the sum of the rises, one row for
    each of `count` images: float64 [count, 15]. Computed in NumPy, independent of the show's own features."""
    width, hop = round(_WINDOW * RATE), round(0.01 * RATE)
    padded = np.concatenate([np.zeros(width // 2), mono, np.zeros(width)])
    starts = np.arange(0, len(mono), hop)
    frames = padded[starts[:, None] + np.arange(width)] * np.hanning(width)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    bins = [round(edge * width / RATE) for edge in _EDGES]
    bands = np.stack([power[:, a:b].mean(axis=1) for a, b in pairwise(bins)], axis=1)
    level = np.log10(bands + 1e-4)
    rise = np.maximum(np.diff(level, axis=0, prepend=level[:1]), 0.0)
    every = np.concatenate([level, rise, rise.sum(axis=1, keepdims=True)], axis=1)
    at = (np.arange(count) + 0.5) / fps
    wide = max(round(1 / fps / 0.01), 1)
    even = np.stack([np.convolve(curve, np.ones(wide) / wide, mode="same") for curve in every.T], axis=1)
    return np.stack([np.interp(at, starts / RATE, curve) for curve in even.T], axis=1)


def accuracy(excerpts: Sequence[Excerpt], seed: int = 0) -> float:
    """Share of excerpts whose sound is chosen out of CHOICES. Excerpts are shuffled into groups of CHOICES; the probe
    of each group is fitted on all others. Raises ValueError for fewer than two groups."""
    count = len(excerpts) // CHOICES * CHOICES
    if count < 2 * CHOICES:
        raise ValueError(f"retrieval needs {2 * CHOICES} excerpts or more, not {len(excerpts)}")
    order = np.random.default_rng(seed).permutation(len(excerpts))[:count]
    right = 0
    for start in range(0, count, CHOICES):
        group = order[start : start + CHOICES]
        others = [excerpts[i] for i in order if i not in group]
        probe = Probe(others)
        for place, i in enumerate(group):
            scores = [probe.score(excerpts[i].seen, excerpts[j].heard) for j in group]
            right += int(np.argmax(scores)) == place
    return right / count


class Probe:
    """Ridge regression from seen to heard. Each feature is standardised within its excerpt, so that only changes in
    time count, not the colours of the video."""

    def __init__(self, excerpts: Sequence[Excerpt]) -> None:
        x = np.concatenate([_context(excerpt.seen) for excerpt in excerpts])
        y = np.concatenate([_standard(excerpt.heard) for excerpt in excerpts])
        self._weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
        # Weight features by how well they are predicted; with so few weights the training error is a good estimate.
        explained = [
            np.corrcoef(predicted, true)[0, 1] for predicted, true in zip((x @ self._weights).T, y.T, strict=True)
        ]
        self._worth = np.nan_to_num(np.array(explained)).clip(0.0) ** 2

    def score(self, seen: np.ndarray, heard: np.ndarray) -> float:
        """How well a sound fits the images: weighted sum of the correlations between prediction and sound."""
        predicted, true = _standard(_context(seen) @ self._weights), _standard(heard)
        return float((self._worth * (predicted * true).mean(axis=0)).sum())


def _standard(curves: np.ndarray) -> np.ndarray:
    spread = curves.std(axis=0)
    standard: np.ndarray = (curves - curves.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    return standard


def _context(seen: np.ndarray) -> np.ndarray:
    """Features of each image and of its neighbours [images, features * (2 CONTEXT + 1)], with absolute changes."""
    curves = _standard(np.concatenate([seen, np.abs(np.diff(seen, axis=0, prepend=seen[:1]))], axis=1))
    padded = np.pad(curves, ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + len(curves)] for k in range(2 * CONTEXT + 1)], axis=1)
