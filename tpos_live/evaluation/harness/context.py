"""The trial: an engine that draws and a judge that looks, which every measurement needs."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch

from tpos_live.conditioning.prompt_rewriter import PromptRewriter
from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.evaluation.classifier.model import Judge
from tpos_live.evaluation.harness.sampler import Artist, as_tensor

BATCH = 16
"""Pictures that the judge looks at together."""


class Trial:
    """An engine, its judge and a seed.

    states: of a prompt, as a show has them; remembered. engine_states: the same without the vocabulary, which knows
    only what the engine offers. families: what the engine knows and the judge too.

    The judge names any family that it knows, also one that the engine was never taught.
    """

    def __init__(self, artist: Artist, judge: Judge, seed: int) -> None:
        self.artist, self.judge, self.seed = artist, judge, seed
        engine = artist.engine
        vocabulary = cache(lambda: load_vocabulary(engine.folder, engine.sentences))
        rewrite = PromptRewriter(vocabulary)
        self.states = lru_cache(maxsize=4096)(lambda prompt: engine.encode(rewrite(prompt)))
        self.engine_states = lru_cache(maxsize=4096)(engine.encode)
        taught = taught_families(artist.engine.folder)
        self.families = tuple(name for name in judge.families if not taught or name in taught)

    def index(self, family: str) -> int:
        """The place of a family among the judge's answers."""
        return self.judge.families.index(family)

    def look(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features [n, 64], logits [n, families] and intensities [n, families] of uint8 pictures."""
        return self.see([as_tensor(pictures[at : at + BATCH]) for at in range(0, len(pictures), BATCH)])

    @torch.inference_mode()
    def finds(self, pictures: torch.Tensor) -> list[set[str]]:
        """The families that the judge names in some part of each picture [batch, 3, H, W] in [0, 1]."""
        named = self.judge.parts(pictures).argmax(-1)
        return [{self.judge.families[number] for number in set(row)} for row in named.tolist()]

    @torch.inference_mode()
    def see(self, batches: Sequence[torch.Tensor]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of float pictures [batch, 3, H, W] in [0, 1]."""
        features = torch.cat([self.judge.look(batch) for batch in batches])
        hidden = torch.nn.functional.silu(features)
        logits, strength = self.judge.family(hidden), self.judge.strength(hidden)
        return features.numpy(), logits.numpy(), strength.numpy()


def taught_families(folder: Path) -> list[str]:
    """Families that an engine was trained on, by its own `families.toml`; none where it does not say."""
    try:
        return [str(name) for name in tomllib.loads((folder / "families.toml").read_text(encoding="utf-8"))["families"]]
    except (OSError, ValueError, KeyError):
        return []
