"""What the classifier says of fresh renders: what an engine's images are held against, kept because it costs minutes.

Renders know nothing of the engine: for one classifier, seed and code of the scenes they stay when its weights change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tpos_live import scenes, training
from tpos_live.core.atomic import atomic_write
from tpos_live.evaluation.classifier.model import FEATURES, FILE
from tpos_live.evaluation.harness.context import EvaluationContext
from tpos_live.evaluation.harness.pool import WorkerPool, item_rng
from tpos_live.evaluation.metrics.statistics import spearman
from tpos_live.scenes.families import FAMILIES
from tpos_live.training.image_model.recipe import PLAIN, Recipe, draw, render

PART = 25
"""Captions of one item of work, a second or two."""
_TOGETHER = 5
"""Renders at once: more only fill the processor's caches."""


def single(seed: int, family: str, start: int, count: int) -> list[Recipe]:
    """Recipes `start` to `start + count` as training draws them, but of one family alone, and said in words alone.

    start: a multiple of PART. A smaller count gives the first of them.
    """
    rng, _ = item_rng(seed, "recipes", family, start)
    other = next(name for name in FAMILIES if name != family)
    found: list[Recipe] = []
    while len(found) < count:
        recipe = draw(rng, families=(family, other))
        if recipe.family == family and recipe.second is None and not recipe.voice:
            found.append(recipe)
    return found


class ReferenceStats:
    """The classifier's readings of renders, in a file where `path` is given. One thread."""

    def __init__(self, path: Path | None, folder: Path, seed: int) -> None:
        """folder: of the engine whose classifier is used."""
        self.path = path
        self._key = _key(folder, seed)
        self._kept: dict[str, np.ndarray] = {}
        if path is not None and path.exists():
            try:
                with np.load(path) as opened:
                    if str(opened["key"]) == self._key:
                        self._kept = {name: opened[name] for name in opened.files if name != "key"}
            except (OSError, ValueError, KeyError):  # not ours, or cut off: made again
                self._kept = {}

    def features(self, pool: WorkerPool, families: Sequence[str], count: int) -> dict[str, np.ndarray]:
        """Features [count, 64] of renders of the captions of `single`, family by family."""
        for name in families:  # one by one, so that what was made is kept when somebody stops it
            kept = self._kept.get(f"features {name}", np.empty((0, FEATURES), np.float32))
            if len(kept) >= count:
                continue
            whole = len(kept) // PART * PART
            parts = [(name, start, min(PART, count - start)) for start in range(whole, count, PART)]
            self._kept[f"features {name}"] = np.concatenate([kept[:whole], *pool.map(f"renders: {name}", _seen, parts)])
            self._save()
        return {name: self._kept[f"features {name}"][:count] for name in families}

    def ranks(self, pool: WorkerPool, families: Sequence[str], count: int) -> dict[str, float]:
        """How well the classifier's reading of intensity follows that of `count` plain renders, family by family."""
        missing = [(name, count) for name in families if f"rank {count} {name}" not in self._kept]
        for (name, _), rank in zip(missing, pool.map("intensity of renders", _rank, missing), strict=True):
            self._kept[f"rank {count} {name}"] = np.array(rank)
        if missing:
            self._save()
        return {name: float(self._kept[f"rank {count} {name}"]) for name in families}

    def both(self, pool: WorkerPool, families: Sequence[str], pairs: int) -> float:
        """The share of renders of two families, half and half, in which the classifier finds both."""
        name = f"both {pairs} {' '.join(families)}"
        if name not in self._kept:
            found = pool.map("renders of two", _both, [(number, tuple(families)) for number in range(pairs)])
            self._kept[name] = np.array(np.mean(found))
            self._save()
        return float(self._kept[name])

    def _save(self) -> None:
        if self.path is None:
            return
        with atomic_write(self.path) as part:
            np.savez(part, key=np.array(self._key), **self._kept)  # type: ignore[arg-type]


def _key(folder: Path, seed: int) -> str:
    """What the readings depend on: the classifier, the seed and the code that renders."""
    found = hashlib.sha256((folder / FILE).read_bytes())
    drawing = sorted(Path(scenes.__file__).parent.glob("*.py"))
    here = Path(training.__file__).parent
    for path in (*drawing, here / "image_model" / "recipe.py", here / "text" / "captions.py"):
        found.update(path.read_bytes())
    return f"{found.hexdigest()} {seed}"


def _seen(context: EvaluationContext, part: tuple[str, int, int]) -> np.ndarray:
    family, start, count = part
    _, generator = item_rng(context.seed, "renders", family, start)
    recipes = single(context.seed, family, start, count)
    batches = []
    for at in range(0, count, _TOGETHER):
        some = recipes[at : at + _TOGETHER]
        batches.append(render(torch.cat([_noise(generator) for _ in some]), some))
    return context.classify_tensors(batches)[0]


def _rank(context: EvaluationContext, item: tuple[str, int]) -> float:
    family, count = item
    rng, generator = item_rng(context.seed, "intensity of renders", family)
    knob = [k / max(count - 1, 1) for k in range(count)]
    recipes = [Recipe(family, scalars=(level, *(rng.random() for _ in PLAIN[1:]))) for level in knob]
    batches = [
        render(torch.cat([_noise(generator) for _ in recipes[at : at + _TOGETHER]]), recipes[at : at + _TOGETHER])
        for at in range(0, count, _TOGETHER)
    ]
    return spearman(knob, context.intensities(batches, family))


def _both(context: EvaluationContext, item: tuple[int, tuple[str, ...]]) -> bool:
    number, families = item
    rng, generator = item_rng(context.seed, "renders of two", number)
    first, second = rng.sample(families, 2)
    scalars = (0.7, *(rng.random() for _ in PLAIN[1:]))
    image = render(_noise(generator), [Recipe(first, second=second, share=0.5, scalars=scalars)])
    return {first, second} <= context.families_in_parts(image)[0]


def _noise(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(1, 4, 32, 32, generator=generator)
