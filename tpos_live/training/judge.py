"""Train the judge on fresh renders: `tpos-live train judge`.

Every family alone, in every style, mood and colour, at every intensity, a third of them softened. Rendering costs
more than training, so a pool keeps the pictures small, serves each several times, and is renewed as it goes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm

from tpos_live.evaluation.judge import FILE, SIDE, Judge, load_judge, save_judge, shrink
from tpos_live.evaluation.statistics import spearman
from tpos_live.training.captions import COLOURS
from tpos_live.training.finish import MOODS, STYLES
from tpos_live.training.recipe import SCALARS, Recipe, render
from tpos_live.training.scenes import FAMILIES

CAPACITY = 5000
"""Pictures in the pool, 49 kB each."""
BATCH = 40
FRESH = 6
"""New pictures for every batch; each is seen about BATCH / FRESH times."""
RATE = 3e-3
AVERAGE = 0.98
"""Of the weights that are kept, a moving average over some fifty steps."""
FIRST = 240
"""Pictures in the pool before the first step."""
_HELD_OUT = 1_000_003
"""Added to the seed for pictures that are never trained on."""


def wide(rng: random.Random, family: str) -> Recipe:
    """A recipe of one family in any style, mood and colour; plain ones more often than the rest."""
    style = rng.choice(("natural", *STYLES))
    mood = rng.choice(list(MOODS)) if rng.random() < 0.5 else "plain"
    colour = rng.choice(list(COLOURS)) if rng.random() < 0.4 else None
    scalars = (rng.random(), *(rng.random() for _ in SCALARS[1:]))
    return Recipe(family, style=style, mood=mood, colour=colour, scalars=scalars)


class Pictures:
    """Fresh renders of known family and intensity, the same for the same seed."""

    def __init__(self, families: Sequence[str], seed: int, device: torch.device) -> None:
        self._families, self._device = tuple(families), device
        self._rng = random.Random(seed)
        self._noise = torch.Generator(device=device).manual_seed(seed)
        self.moods: list[str] = []

    @torch.no_grad()
    def make(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pictures uint8 [count, 3, SIDE, SIDE], family numbers int64 [count], intensities float [count].

        `moods` then names the mood of each.
        """
        order = [self._rng.randrange(len(self._families)) for _ in range(count)]
        recipes = [wide(self._rng, self._families[index]) for index in order]
        self.moods = [recipe.mood for recipe in recipes]
        noise = torch.randn(count, 4, 32, 32, generator=self._noise, device=self._device)
        small = shrink(render(noise, recipes))
        strength = torch.tensor([recipe.scalars[0] for recipe in recipes], device=self._device)
        return (small * 255 + 0.5).to(torch.uint8), torch.tensor(order, device=self._device), strength


def train_judge(
    folder: Path,
    minutes: float,
    seed: int,
    families: Sequence[str],
    threads: int | None = None,
    accelerator: str | None = None,
    resume: bool = False,
    held_out: int = 600,
) -> dict[str, object]:
    """Train for `minutes`, write the judge into an engine folder, and say how good it is on `held_out` unseen renders.

    families: names of scene families. accelerator: "cpu", "cuda", ... or None for the best there is. resume: go on
    from the judge that is there if it knows the same families. Raises ValueError for a family that does not exist.
    """
    if unknown := [name for name in families if name not in FAMILIES]:
        raise ValueError(f"there is no scene family {unknown[0]!r}; families are {', '.join(FAMILIES)}")
    if threads is not None:
        torch.set_num_threads(threads)
    device = torch.device(accelerator or ("cuda" if torch.cuda.is_available() else "cpu"))
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    judge, before = Judge(tuple(families)).to(device), 0
    if resume:
        known, told = load_judge(folder)
        if known.families == tuple(families):
            judge, before = known.to(device).requires_grad_(True), int(str(told["steps"]))
    rate = RATE / 2 if before else RATE
    optimizer = torch.optim.AdamW(judge.parameters(), lr=rate, weight_decay=0.02)
    source = Pictures(families, seed + before, device)
    pool = torch.empty(CAPACITY, 3, SIDE, SIDE, dtype=torch.uint8, device=device)
    kind, strength = torch.empty(CAPACITY, dtype=torch.long, device=device), torch.empty(CAPACITY, device=device)
    first = min(FIRST, max(BATCH, round(FIRST * minutes)))
    for start in range(0, first, FRESH):
        part = slice(start, min(start + FRESH, first))
        pool[part], kind[part], strength[part] = source.make(part.stop - start)
    at = filled = first
    kept = {name: value.clone() for name, value in judge.state_dict().items()}
    steps, begin, shown = 0, time.monotonic(), 0.0
    judge.train()
    with tqdm(total=round(minutes * 60), unit="s", desc="judge") as bar:
        while (spent := time.monotonic() - begin) < minutes * 60 or steps == 0:
            left = max(0.0, 1 - spent / max(minutes * 60, 1e-6))
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, (steps + 1) / 30) * (0.01 + 0.99 * left)
            fresh = source.make(FRESH)
            rows = torch.arange(at, at + FRESH) % CAPACITY
            pool[rows], kind[rows], strength[rows] = fresh
            at, filled = (at + FRESH) % CAPACITY, min(filled + FRESH, CAPACITY)
            take = torch.randint(filled, (BATCH,), generator=rng)
            take[-FRESH:] = rows  # so that every picture is seen at once
            pictures = pool[take].float() / 255
            flip = torch.rand(BATCH, generator=rng) < 0.5
            pictures[flip] = pictures[flip].flip(-1)
            pictures[: BATCH // 3] = soften(pictures[: BATCH // 3], int(torch.randint(2, 6, (), generator=rng)))
            logits, strengths = judge(pictures)
            named = kind[take]
            said = strengths.gather(1, named[:, None])[:, 0]
            wrong = F.cross_entropy(logits, named, label_smoothing=0.02)
            loss = wrong + 12 * F.mse_loss(said, strength[take])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            share = 1 - min(AVERAGE, (steps + 1) / (steps + 10))
            for name, value in judge.state_dict().items():
                kept[name] = torch.lerp(kept[name], value, share) if value.is_floating_point() else value.clone()
            right = (logits.argmax(1) == named).float().mean().item()
            shown += (0.03 if steps else 1.0) * (right - shown)
            steps += 1
            bar.n = min(bar.total, int(spent))
            bar.set_postfix(right=f"{shown:.3f}", loss=f"{loss.item():.3f}", steps=steps, refresh=False)
            bar.update(0)
    judge.eval().requires_grad_(False)
    # As it will be loaded, rounding included.
    judge.load_state_dict({k: v.half().to(v) if v.is_floating_point() else v for k, v in kept.items()})
    facts: dict[str, object] = {"seed": seed, "steps": before + steps, "side": SIDE}
    facts |= examine(judge, seed + _HELD_OUT, held_out, device)
    save_judge(judge, folder / FILE, facts)
    return facts


def soften(pictures: torch.Tensor, cells: int) -> torch.Tensor:
    """Blurred pictures: a small network's are soft, and an aurora without its finest rays is one still."""
    return F.interpolate(F.avg_pool2d(pictures, cells), size=pictures.shape[-2:], mode="bilinear", align_corners=False)


def examine(judge: Judge, seed: int, count: int, device: torch.device) -> dict[str, object]:
    """Accuracy and the mean over families of the intensity's rank correlation, on `count` fresh renders.

    The plain ones among them have any palette and style, but no mood, which exposes a picture brighter or darker.
    """
    source = Pictures(judge.families, seed, device)
    plain: list[bool] = []
    right: dict[str, list[bool]] = {name: [] for name in judge.families}
    knob: dict[str, list[float]] = {name: [] for name in judge.families}
    said: dict[str, list[float]] = {name: [] for name in judge.families}
    for _ in range(-(-count // 24)):
        pictures, kind, strength = source.make(24)
        logits, strengths = judge(pictures.float() / 255)
        for row, number in enumerate(kind.tolist()):
            name = judge.families[number]
            right[name].append(int(logits[row].argmax()) == number)
            if source.moods[row] == "plain":
                plain.append(right[name][-1])
            knob[name].append(float(strength[row]))
            said[name].append(float(strengths[row, number]))
    known = [name for name in judge.families if right[name]]
    shares = {name: sum(right[name]) / len(right[name]) for name in known}
    ranks = [spearman(knob[name], said[name]) for name in known if len(knob[name]) > 2]
    worst = min(shares, key=shares.__getitem__)
    return {
        "held_out": sum(map(len, right.values())),
        "accuracy": round(sum(map(sum, right.values())) / sum(map(len, right.values())), 4),
        "plain_accuracy": round(sum(plain) / max(len(plain), 1), 4),
        "worst_family": worst,
        "worst_accuracy": round(shares[worst], 4),
        "intensity_spearman": round(sum(ranks) / max(len(ranks), 1), 4),
    }
