"""The gate, `tpos-live evaluate gate`: which scene families an engine draws well enough to offer them.

A family passes if the classifier recognises it in at least NAMED of its one-step frames, and if its distance to new
renders is at most APART of the mean distance between families. Prompts and sounds lead only to families that the engine
folder offers (`training/text/families_file.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tpos_live.evaluation.harness.context import EvaluationContext
from tpos_live.evaluation.harness.pool import WorkerPool, item_rng
from tpos_live.evaluation.metrics.statistics import frechet, mean_distance
from tpos_live.evaluation.reference_stats import PART, ReferenceStats, single

NAMED = 0.9
"""Smallest share of one-step frames in which the classifier recognises the family."""
APART = 0.2
"""Largest Fréchet distance to new renders, relative to the mean distance between families."""


@dataclass(frozen=True)
class Verdict:
    """The result of one family. named: share of its frames that are recognised, 0 to 1. apart: distance to renders,
    relative to the mean distance between families. mistaken: the most frequent wrong family; "" without any."""

    family: str
    named: float
    apart: float
    mistaken: str = ""

    @property
    def passed(self) -> bool:
        return self.named >= NAMED and self.apart <= APART

    def __str__(self) -> str:
        wrong = f", most often named {self.mistaken} instead" if self.mistaken and self.named < NAMED else ""
        mark = "passes" if self.passed else "fails"
        return f"{self.family:16} {mark:6}  named {100 * self.named:3.0f} %  distance {self.apart:.2f}{wrong}"


def check_families(pool: WorkerPool, renders: ReferenceStats, families: Sequence[str], images: int) -> list[Verdict]:
    """The verdict on each of `families`, from `images` one-step frames each, with captions as in training and new
    noise. Raises ValueError for fewer than two families or frames."""
    if len(families) < 2:
        raise ValueError("the gate compares families: at least two are needed")
    parts = [(name, start, min(PART, images - start)) for name in families for start in range(0, images, PART)]
    done = list(zip(parts, pool.map("gate", _drawn, parts), strict=True))
    real = renders.features(pool, families, images)
    between = mean_distance(real)
    verdicts = []
    for name in families:
        features = np.concatenate([found for part, (found, _) in done if part[0] == name])
        named = [family for part, (_, found) in done if part[0] == name for family in found]
        wrong = [family for family in named if family != name]
        mistaken = max(sorted(set(wrong)), key=wrong.count, default="")
        share = 1 - len(wrong) / len(named)
        verdicts.append(Verdict(name, share, frechet(features, real[name]) / between, mistaken))
    return verdicts


def _drawn(context: EvaluationContext, part: tuple[str, int, int]) -> tuple[np.ndarray, list[str]]:
    """Features [n, 64] of one-step frames, and the family that the classifier gives to each."""
    family, start, count = part
    _, generator = item_rng(context.seed, "gate", family, start)
    frames = [
        context.harness.draw(context.engine_states(recipe.texts[0]), recipe.scalars, context.harness.noise(generator))
        for recipe in single(context.seed, family, start, count)
    ]
    features, logits = context.classify(frames)
    return features, [context.classifier.families[at] for at in logits.argmax(1).tolist()]
