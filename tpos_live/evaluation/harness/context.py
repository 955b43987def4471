"""The evaluation context: an engine and a scene classifier, which every measurement needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch

from tpos_live.conditioning.vocabulary import load_vocabulary, rewritten
from tpos_live.evaluation.classifier.model import SceneClassifier
from tpos_live.evaluation.harness.sampler import SamplerHarness, as_tensor
from tpos_live.training.text.families_file import EngineFamilies, read_families

BATCH = 16
"""Images that the classifier looks at together."""


class EvaluationContext:
    """An engine, its classifier and a seed.

    states: text states of a prompt, as in a session; cached. engine_states: the same without the vocabulary, which
    knows only what the engine offers. families: those that both the engine and the classifier know.

    The classifier can also name a family that the engine was not trained on.
    """

    def __init__(self, harness: SamplerHarness, classifier: SceneClassifier, seed: int) -> None:
        self.harness, self.classifier, self.seed = harness, classifier, seed
        engine = harness.engine
        vocabulary = cache(lambda: load_vocabulary(engine.folder, engine.texts.sentences))
        self.states = lru_cache(maxsize=4096)(lambda prompt: engine.texts.encode(rewritten(prompt, vocabulary())))
        self.engine_states = lru_cache(maxsize=4096)(engine.texts.encode)
        offered = engine_families(harness.engine.folder).offered
        self.families = tuple(name for name in classifier.families if not offered or name in offered)

    def index(self, family: str) -> int:
        """The place of a family among the classifier's answers."""
        return self.classifier.families.index(family)

    def classify(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Features [n, 64] and logits [n, families] of uint8 images."""
        return self.classify_tensors(in_batches(images))

    @torch.inference_mode()
    def families_in_parts(self, images: torch.Tensor) -> list[set[str]]:
        """The families that the classifier names in some part of each image [batch, 3, H, W] in [0, 1]."""
        named = self.classifier.parts(images).argmax(-1)
        return [{self.classifier.families[number] for number in set(row)} for row in named.tolist()]

    @torch.inference_mode()
    def classify_tensors(self, batches: Sequence[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """The same of float images [batch, 3, H, W] in [0, 1]."""
        features = torch.cat([self.classifier.embed(batch) for batch in batches])
        return features.numpy(), self.classifier.family(torch.nn.functional.silu(features)).numpy()

    @torch.inference_mode()
    def intensities(self, batches: Sequence[torch.Tensor], family: str) -> list[float]:
        """The intensity that is read from each of float images [batch, 3, H, W] in [0, 1], of one family."""
        read = torch.cat([self.classifier.intensities(batch)[:, self.index(family)] for batch in batches])
        return [float(value) for value in read]


def in_batches(images: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """uint8 images as float tensors [up to BATCH, 3, H, W] in [0, 1]."""
    return [as_tensor(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]


def engine_families(folder: Path) -> EngineFamilies:
    """Families that an engine offers and was trained on; none where it does not say."""
    try:
        return read_families(folder)
    except (OSError, ValueError):
        return EngineFamilies([], [])
