"""What the judge says of an engine's pictures: right scene, right distribution, right intensity."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import torch

from tpos_live.evaluation.artist import Artist, as_tensor
from tpos_live.evaluation.captions import Caption
from tpos_live.evaluation.figures import Figure
from tpos_live.evaluation.judge import Judge
from tpos_live.evaluation.statistics import frechet, spearman
from tpos_live.training.captions import PHRASES
from tpos_live.training.recipe import SCALARS, Recipe, draw, render

_BATCH = 16
MANY_STEPS = 8

Progress = Callable[[str, Iterable[int]], Iterable[int]]
"""Shows how far a named loop has come; gives its items."""


class Trial:
    """An engine, its judge and a seed: what every measurement needs. states: remembered words."""

    def __init__(self, artist: Artist, judge: Judge, seed: int, progress: Progress) -> None:
        self.artist, self.judge, self.seed, self.progress = artist, judge, seed, progress
        self.states = lru_cache(maxsize=4096)(artist.engine.encode)

    @property
    def families(self) -> tuple[str, ...]:
        return self.judge.families

    def look(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features [n, 64], logits [n, families] and intensities [n, families] of uint8 pictures."""
        return self.see([as_tensor(pictures[at : at + _BATCH]) for at in range(0, len(pictures), _BATCH)])

    def see(self, batches: Sequence[torch.Tensor]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of float pictures [batch, 3, H, W] in [0, 1]."""
        with torch.no_grad():
            features = torch.cat([self.judge.look(batch) for batch in batches])
            hidden = torch.nn.functional.silu(features)
            logits, strength = self.judge.family(hidden), self.judge.strength(hidden)
        return features.numpy(), logits.numpy(), strength.numpy()


def accuracy(trial: Trial, name: str, captions: Sequence[Caption], seeds: int, bar: float) -> list[Figure]:
    """The share of one-step pictures in which the judge sees the family that the caption means."""
    artist, rng = trial.artist, random.Random(trial.seed)
    generator = torch.Generator().manual_seed(trial.seed)
    pictures, meant = [], []
    for at in trial.progress(name, range(len(captions) * seeds)):
        text, family = captions[at // seeds]
        scalars = (rng.uniform(0.3, 0.9), *(rng.random() for _ in SCALARS[1:]))
        pictures.append(artist.draw(trial.states(text), scalars, artist.noise(generator)))
        meant.append(trial.families.index(family))
    seen = trial.look(pictures)[1].argmax(1)
    right = seen == np.array(meant)
    by_family = {name: right[np.array(meant) == at].mean() for at, name in enumerate(trial.families) if at in meant}
    worst = min(by_family, key=by_family.__getitem__)
    note = f"worst: {worst} {100 * by_family[worst]:.0f} %"
    return [Figure(name, float(right.mean()), bar, unit="%", n=len(right), note=note)]


def single(rng: random.Random, family: str, families: Sequence[str]) -> Recipe:
    """A recipe as training draws it, but of one family alone, said in words alone."""
    while True:
        recipe = draw(rng, families=families)
        if recipe.family == family and recipe.second is None and not recipe.voice:
            return recipe


def distances(trial: Trial, pictures: int, many: int) -> list[Figure]:
    """Fréchet distances of one-step pictures from fresh renders of the same captions, with noise of their own.

    pictures: of every family; many: of them again in MANY_STEPS steps.
    """
    artist, families = trial.artist, trial.families
    noises = [torch.Generator().manual_seed(trial.seed + k) for k in (1, 2)]
    drawn, real, slow = [], [], []
    for family in families:
        rng = random.Random(f"{trial.seed} {family}")
        one, renders, eight = [], [], []
        recipes = [single(rng, family, families) for _ in range(pictures)]
        for at in trial.progress(f"distance: {family}", range(pictures)):
            recipe, noise = recipes[at], artist.noise(noises[0])
            states = trial.states(recipe.texts[0])
            one.append(artist.draw(states, recipe.scalars, noise))
            if at < many:
                eight.append(artist.draw(states, recipe.scalars, noise, MANY_STEPS))
            if at % _BATCH == 0:
                batch = recipes[at : at + _BATCH]
                renders.append(render(torch.cat([artist.noise(noises[1]) for _ in batch]), batch))
        drawn.append(trial.look(one)[0])
        real.append(trial.see(renders)[0])
        slow.append(trial.look(eight)[0])
    apart = float(np.mean([frechet(a, b) for a, b in combinations(real, 2)]))
    near = [frechet(a, b) for a, b in zip(drawn, real, strict=True)]
    worst = int(np.argmax(near))
    note = f"worst: {families[worst]} {near[worst] / apart:.2f}; families are {apart:.3g} apart"
    figures = [
        Figure("distance to fresh renders / between families", float(np.mean(near)) / apart, 0.1, least=False,
               n=pictures * len(families), note=note),
    ]  # fmt: skip
    if many > 1:
        few = float(np.mean([frechet(a[:many], b[:many]) for a, b in zip(drawn, real, strict=True)]))
        best = float(np.mean([frechet(a, b[:many]) for a, b in zip(slow, real, strict=True)]))
        figures.append(
            Figure("distance in one step / in eight", few / best if best > 0 else 1.0, 1.3, least=False,
                   n=many * len(families), note="the same noise and captions")
        )  # fmt: skip
    return figures


def intensity(trial: Trial, pictures: int) -> list[Figure]:
    """Whether the intensity knob moves what the judge reads as intensity, family by family."""
    artist, rng = trial.artist, random.Random(trial.seed + 3)
    generator = torch.Generator().manual_seed(trial.seed + 3)
    ranks = {}
    for at, family in enumerate(trial.families):
        states, drawn = trial.states(PHRASES[family][0]), []
        knob = [k / max(pictures - 1, 1) for k in range(pictures)]
        for k in trial.progress(f"intensity: {family}", range(pictures)):
            scalars = (knob[k], *(rng.random() for _ in SCALARS[1:]))
            drawn.append(artist.draw(states, scalars, artist.noise(generator)))
        ranks[family] = spearman(knob, trial.look(drawn)[2][:, at].tolist())
    worst = min(ranks, key=ranks.__getitem__)
    good = sum(rank >= 0.9 for rank in ranks.values()) / len(ranks)
    mean = sum(ranks.values()) / len(ranks)
    note = f"mean {mean:.2f}; worst: {worst} {ranks[worst]:.2f}"
    return [Figure("families whose intensity follows the knob (Spearman ≥ 0.9)", good, 0.9, unit="%",
                   n=pictures * len(ranks), note=note)]  # fmt: skip
