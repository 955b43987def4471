"""Images for the scene classifier: fresh renders of known families, a pool of them, and other cuts of each.

Every family, in every style, mood and colour, at every intensity; a part of the images holds two families, one beside
the other. Rendering costs more than training, so a pool keeps the images small and serves each several times.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file

from tpos_live.core.atomic import atomic_write
from tpos_live.evaluation.classifier.model import SIDE, shrink
from tpos_live.scenes.finishing import MOODS, STYLES
from tpos_live.training.image_model.recipe import PLAIN, Recipe, render
from tpos_live.training.text.captions import COLOURS

CAPACITY = 5000
"""Images in the pool, 49 kB each."""
CUT = 112
"""Side of the part of an image that a step sees, another one each time."""
NONE = -1
"""The second family of an image that has only one."""


def wide(rng: random.Random, family: str, second: str | None = None) -> Recipe:
    """A recipe of a family, or of two, in any style, mood and colour; plain ones more often than the rest."""
    style = rng.choice(("natural", *STYLES))
    mood = rng.choice(list(MOODS)) if rng.random() < 0.5 else "plain"
    colour = rng.choice(list(COLOURS)) if rng.random() < 0.4 else None
    scalars = (rng.random(), *(rng.random() for _ in PLAIN[1:]))
    share = rng.uniform(0.35, 0.65) if second else 0.0
    return Recipe(family, second, share, style=style, mood=mood, colour=colour, scalars=scalars)


class Images:
    """Fresh renders of known families and intensity, the same for the same seed."""

    def __init__(self, families: Sequence[str], seed: int, device: torch.device, two: float = 0.0) -> None:
        """two: share of images with two families."""
        self._families, self._device, self._two = tuple(families), device, two if len(families) > 1 else 0.0
        self.names = ",".join(families)
        self._rng = random.Random(seed)
        self._noise = torch.Generator(device=device).manual_seed(seed)
        self.moods: list[str] = []

    @torch.no_grad()
    def make(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images uint8 [count, 3, SIDE, SIDE], family numbers and second ones (or NONE) int64 [count], intensities
        float [count]: NaN where a mood or a second family changes the light too.

        `moods` then names the mood of each.
        """
        rng, names = self._rng, self._families
        order, seconds, recipes = [], [], []
        for _ in range(count):
            first, second = rng.randrange(len(names)), NONE
            if self._two and rng.random() < self._two:
                second = (first + rng.randrange(1, len(names))) % len(names)
            order.append(first)
            seconds.append(second)
            recipes.append(wide(rng, names[first], names[second] if second != NONE else None))
        self.moods = [recipe.mood for recipe in recipes]
        noise = torch.randn(count, 4, 32, 32, generator=self._noise, device=self._device)
        small = shrink(render(noise, recipes))
        told = [r.scalars[0] if r.mood == "plain" and r.second is None else math.nan for r in recipes]
        intensity = torch.tensor(told, device=self._device)
        kind, other = (torch.tensor(numbers, device=self._device) for numbers in (order, seconds))
        return (small * 255 + 0.5).to(torch.uint8), kind, other, intensity


_KEPT = ("images", "kind", "second", "intensity")
"""What a pool keeps of each image, in the order of `Images.make`."""


class Pool:
    """The last CAPACITY images of a source, small; `fresh` says where the newest are. Kept in a file between runs."""

    def __init__(self, source: Images, device: torch.device) -> None:
        self.source = source
        self.images = torch.empty(CAPACITY, 3, SIDE, SIDE, dtype=torch.uint8, device=device)
        self.kind, self.second = (torch.empty(CAPACITY, dtype=torch.long, device=device) for _ in range(2))
        self.intensity = torch.empty(CAPACITY, device=device)
        self.at = self.filled = 0
        self.fresh = torch.empty(0, dtype=torch.long)

    def renew(self, count: int) -> None:
        """Render `count` images over the oldest."""
        self.fresh = torch.arange(self.at, self.at + count) % CAPACITY
        made = self.source.make(count)
        for name, values in zip(_KEPT, made, strict=True):
            getattr(self, name)[self.fresh] = values
        self.at, self.filled = (self.at + count) % CAPACITY, min(self.filled + count, CAPACITY)

    def save(self, path: Path) -> None:
        """Write all images to a file, oldest first."""
        order = (torch.arange(self.filled) + (self.at if self.filled == CAPACITY else 0)) % CAPACITY
        kept = {name: getattr(self, name) for name in _KEPT}
        with atomic_write(path) as part:
            save_file({name: value[order].cpu() for name, value in kept.items()}, part, {"families": self.source.names})

    def load(self, path: Path) -> None:
        """Take the images of a file where there is one of these families."""
        if not path.exists():
            return
        with safe_open(path, framework="pt") as opened:
            if opened.metadata()["families"] != self.source.names or set(opened.keys()) != set(_KEPT):
                return
            count = len(opened.get_tensor("kind"))
            for name in _KEPT:
                getattr(self, name)[:count] = opened.get_tensor(name).to(self.kind.device)
        self.at, self.filled = count % CAPACITY, count


def augment(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Another cut of each, half of them mirrored, a third softened: [batch, 3, CUT, CUT] of [batch, 3, SIDE, SIDE]."""
    count = len(images)
    places = torch.randint(SIDE - CUT + 1, (count, 2), generator=rng).tolist()
    cuts = torch.stack([one[:, y : y + CUT, x : x + CUT] for one, (y, x) in zip(images, places, strict=True)])
    flip = torch.rand(count, generator=rng) < 0.5
    cuts[flip] = cuts[flip].flip(-1)
    some = torch.randperm(count, generator=rng)[: count // 3]
    cuts[some] = soften(cuts[some], int(torch.randint(2, 6, (), generator=rng)))
    return cuts.contiguous(memory_format=torch.channels_last)


def soften(images: torch.Tensor, cells: int) -> torch.Tensor:
    """Blurred images: a small network's are soft, and an aurora without its finest rays is one still."""
    return F.interpolate(F.avg_pool2d(images, cells), size=images.shape[-2:], mode="bilinear", align_corners=False)
