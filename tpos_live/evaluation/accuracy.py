"""What the classifier says of an engine's images: right scene, right distribution, right intensity."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tpos_live.evaluation.captions import Caption
from tpos_live.evaluation.harness.context import EvaluationContext, in_batches
from tpos_live.evaluation.harness.pool import WorkerPool, item_rng
from tpos_live.evaluation.metrics.report import Figure
from tpos_live.evaluation.metrics.statistics import frechet, mean_distance, spearman
from tpos_live.evaluation.reference_stats import PART, ReferenceStats, single
from tpos_live.training.image_model.recipe import PLAIN
from tpos_live.training.text.captions import PHRASES

MANY_STEPS = 8
FEW_STEPS = (2, 4)


def any_scalars(rng: random.Random, intensity: float) -> tuple[float, ...]:
    """An intensity, and any of the rest."""
    return (intensity, *(rng.random() for _ in PLAIN[1:]))


def accuracy(pool: WorkerPool, name: str, captions: Sequence[Caption], seeds: int, bar: float) -> list[Figure]:
    """The share of one-step images in which the classifier sees the family that the caption means."""
    meant = np.array([family for _, family in captions])
    right = np.array(pool.map(name, _named, [(text, family, seeds, 1) for text, family in captions]))
    by_family = {family: right[meant == family].mean() for family in sorted(set(meant.tolist()))}
    worst = sorted(by_family, key=by_family.__getitem__)[:3]
    note = "worst: " + ", ".join(f"{family} {100 * by_family[family]:.0f} %" for family in worst)
    return [Figure(name, float(right.mean()), bar, unit="%", n=right.size, note=note)]


def few_step_accuracy(pool: WorkerPool, captions: Sequence[Caption]) -> list[Figure]:
    """Whether an image of each caption is named as often in a few steps as in one, from the same noise."""

    def named(steps: int) -> float:
        items = [(text, family, 1, steps) for text, family in captions]
        return float(np.mean(pool.map(f"right scene in {steps} steps", _named, items)))

    one = named(1)
    figures = []
    for steps in FEW_STEPS:
        share = named(steps)
        note = f"{100 * share:.0f} % for {100 * one:.0f}"
        ratio = share / one if one > 0 else float(share > 0)
        figures.append(Figure(f"right scene in {steps} steps / in one", ratio, 1.0, n=len(captions), note=note))
    return figures


def _named(context: EvaluationContext, item: tuple[str, str, int, int]) -> list[bool]:
    text, family, seeds, steps = item
    rng, generator = item_rng(context.seed, "named", text)
    states = context.states(text)
    images = [
        context.harness.draw(states, any_scalars(rng, rng.uniform(0.3, 0.9)), context.harness.noise(generator), steps)
        for _ in range(seeds)
    ]
    named: list[bool] = (context.classify(images)[1].argmax(1) == context.index(family)).tolist()
    return named


class Part(NamedTuple):
    """Some of a family's captions: from `start` on as many as `images`, `slow` of them in MANY_STEPS steps too."""

    family: str
    start: int
    images: int
    slow: int


def distances(pool: WorkerPool, renders: ReferenceStats, images: int, many: int, slow: int) -> list[Figure]:
    """Fréchet distances of one-step images from fresh renders of the same captions, with noise of their own.

    images: of every family; many: of them again in MANY_STEPS steps, in `slow` families.
    """
    families = pool.context.families
    patient = set(families[:: max(len(families) // max(slow, 1), 1)][:slow]) if many > 1 else set()
    parts = [
        Part(family, start, min(PART, images - start), min(max(many - start, 0), PART) if family in patient else 0)
        for family in families
        for start in range(0, images, PART)
    ]
    done = list(zip(parts, pool.map("distance to fresh renders", _drawn, parts), strict=True))
    real = renders.features(pool, families, images)
    drawn = {name: np.concatenate([one for part, (one, _) in done if part.family == name]) for name in families}
    apart = mean_distance(real)
    near = {name: frechet(drawn[name], real[name]) for name in families}
    half = images // 2
    floor = float(np.mean([frechet(real[name][:half], real[name][half:]) for name in families])) if half > 1 else 0.0
    worst = sorted(near, key=lambda name: -near[name])[:3]
    note = "worst: " + ", ".join(f"{name} {near[name] / apart:.2f}" for name in worst)
    note += f"; two halves of the renders: {floor / apart:.3f}; {images} pictures a family"
    figures = [
        Figure("distance to fresh renders / between families", float(np.mean(list(near.values()))) / apart, 0.1,
               least=False, n=images * len(families), note=note),
    ]  # fmt: skip
    if patient:
        names = [name for name in families if name in patient]
        eight = {name: np.concatenate([more for part, (_, more) in done if part.family == name]) for name in names}
        few = float(np.mean([frechet(drawn[name][: len(eight[name])], real[name]) for name in names]))
        best = float(np.mean([frechet(eight[name], real[name]) for name in names]))
        count = len(eight[names[0]])
        figures.append(
            Figure("distance in one step / in eight", few / best if best > 0 else 1.0, 1.3, least=False,
                   n=count * len(names), note=f"{count} pictures each of {len(names)} families, the same noise")
        )  # fmt: skip
    return figures


def _drawn(context: EvaluationContext, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Features of the images of a part in one step [n, 64] and in eight [slow, 64]."""
    harness = context.harness
    _, generator = item_rng(context.seed, "drawn", part.family, part.start)
    one, eight = [], []
    for at, recipe in enumerate(single(context.seed, part.family, part.start, part.images)):
        noise, states = harness.noise(generator), context.states(recipe.texts[0])
        one.append(harness.draw(states, recipe.scalars, noise))
        if at < part.slow:
            eight.append(harness.draw(states, recipe.scalars, noise, MANY_STEPS))
    features = context.classify(one)[0]
    return features, context.classify(eight)[0] if eight else features[:0]


def intensity(pool: WorkerPool, renders: ReferenceStats, images: int) -> list[Figure]:
    """Whether the intensity knob moves what the classifier reads as intensity, family by family."""
    families = pool.context.families
    ranks = dict(zip(families, pool.map("intensity", _rank, [(name, images) for name in families]), strict=True))
    own = renders.ranks(pool, families, images)
    worst = sorted(ranks, key=ranks.__getitem__)[:3]
    good, there = (sum(rank >= 0.9 for rank in some.values()) / len(families) for some in (ranks, own))
    mean = sum(ranks.values()) / len(ranks)
    note = f"mean {mean:.2f}; worst: " + ", ".join(f"{name} {ranks[name]:.2f}" for name in worst)
    note += f"; the same of renders: {100 * there:.0f} %, mean {sum(own.values()) / len(own):.2f}"
    return [Figure("families whose intensity follows the knob (Spearman ≥ 0.9)", good, 0.9, unit="%",
                   n=images * len(ranks), note=note)]  # fmt: skip


def _rank(context: EvaluationContext, item: tuple[str, int]) -> float:
    family, images = item
    rng, generator = item_rng(context.seed, "intensity", family)
    states = context.states(PHRASES[family][0])
    knob = [k / max(images - 1, 1) for k in range(images)]
    drawn = [context.harness.draw(states, any_scalars(rng, level), context.harness.noise(generator)) for level in knob]
    return spearman(knob, context.intensities(in_batches(drawn), family))
