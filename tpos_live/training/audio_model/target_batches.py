"""The batches from which the backbone learns: concatenated, augmented sounds with the teacher's embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tpos_live.audio_encoder.streaming import SILENT_DB, STEP_HOPS, Layout
from tpos_live.features.spectrum import MELS
from tpos_live.training.audio_model.clips import Clip
from tpos_live.training.audio_model.net import prefix_hops
from tpos_live.training.audio_model.stream_dataset import equalized, with_room
from tpos_live.training.audio_model.yamnet_teacher import TARGET_HOPS, DistillationTarget

ROWS, HOPS = 12, 256
"""Batch size, and length of an excerpt in hops."""
WIDTH = 96
"""Largest number of principal components of the teacher's embedding that are distilled."""
MADE_ROWS = 3
"""Rows of the batch with procedural sounds of known density."""


class TargetBatches:
    """Draws batches of concatenated sounds with the teacher's embeddings as targets, augmented in level, spectrum and
    room noise. Some rows are procedural sounds (`made`), whose target is their density."""

    def __init__(self, targets: Sequence[DistillationTarget], made: Sequence[Clip], layout: Layout, seed: int) -> None:
        self._made = [(clip.mel.astype(np.float32), clip.density) for clip in made]
        teacher_embeddings = np.concatenate([one.teacher_embeddings for one in targets]).astype(np.float32)
        mean = teacher_embeddings.mean(axis=0)
        _, _, axes = np.linalg.svd(teacher_embeddings[::3] - mean, full_matrices=False)
        axes = axes[:WIDTH]
        self.width = len(axes)
        parts = (teacher_embeddings - mean) @ axes.T
        # The square root keeps the order of the components' scales, but gives weak components some weight.
        spread = np.sqrt(parts.std(axis=0))
        spread *= (parts / spread).std()
        self.axes, self.mean = (axes / spread[:, None]).astype(np.float32), mean
        self._sounds = [
            (one.mel.astype(np.float32), (one.teacher_embeddings.astype(np.float32) - mean) @ self.axes.T)
            for one in targets
        ]
        chance = np.array([min(len(mel), 300) for mel, _ in self._sounds]) ** 0.5
        self._chance = np.cumsum(chance / chance.sum())
        self._rng, self._prefix = np.random.default_rng(seed), prefix_hops(layout)

    def draw(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """mel float32 [ROWS, prefix + HOPS, MELS] in dB; teacher embeddings float32 [ROWS, steps, width]; bool [ROWS,
        steps], where they are valid; density float32 [ROWS, steps], NaN where unknown."""
        rng, steps = self._rng, HOPS // STEP_HOPS
        mel = np.full((ROWS, self._prefix + HOPS, MELS), SILENT_DB, np.float32)
        teacher_embeddings, known = np.zeros((ROWS, steps, self.width), np.float32), np.zeros((ROWS, steps), bool)
        density = np.full((ROWS, steps), np.nan, np.float32)
        made_rows = MADE_ROWS if self._made else 0
        for row in range(made_rows):
            sound, much = self._made[rng.integers(len(self._made))]
            start = int(rng.integers(max(len(sound) - HOPS, 1))) if rng.random() < 0.6 else 0
            index = np.clip(start + np.arange(HOPS), 0, len(sound) - 1)
            mel[row, self._prefix :] = equalized(sound[index], rng, 15.0)
            density[row, steps // 5 :] = much  # the first half second is too short to tell
        for row in range(made_rows, ROWS):
            at = 0
            while at < HOPS:
                sound, answers = self._sounds[
                    min(int(np.searchsorted(self._chance, rng.random())), len(self._chance) - 1)
                ]
                start = 0 if rng.random() < 0.5 else int(rng.integers(max(len(sound) - 100, 1)))
                speed = math.exp(rng.uniform(-0.1, 0.1))
                index = (start + np.arange(0, len(sound) - start, speed)).astype(int)[: HOPS - at]
                if rng.random() < 0.5:
                    index = index[: int(rng.integers(60, 400))]
                end = at + len(index)
                heard = sound[index] if rng.random() < 0.3 else equalized(sound[index], rng, 15.0)
                mel[row, self._prefix + at : self._prefix + end] = heard
                ends = np.arange(STEP_HOPS - 1, HOPS, STEP_HOPS)
                here = np.flatnonzero((ends >= at) & (ends < end))
                place = np.clip((index[ends[here] - at] + 1) / TARGET_HOPS - 1, 0, len(answers) - 1)
                low = place.astype(int)
                part = (place - low)[:, None]
                high = np.minimum(low + 1, len(answers) - 1)
                teacher_embeddings[row, here] = answers[low] * (1 - part) + answers[high] * part
                # After a cut the teacher's window still contains sound that the student does not get.
                known[row, here] = ends[here] - at > (50 if start else 10)
                at = end
            for _ in range(int(rng.integers(3))):
                width = int(rng.integers(1, 9))
                low_band = int(rng.integers(MELS - width))
                mel[row, :, low_band : low_band + width] = mel[row].mean(axis=1, keepdims=True)
            if rng.random() < 0.3:
                mel[row] = with_room(mel[row], rng)
        return np.maximum(mel, SILENT_DB), teacher_embeddings, known, density
