"""Train the classifier on fresh renders: `tpos-live train classifier`.

Every family, in every style, mood and colour, at every intensity, a third of them softened; a quarter of the images
hold two families, one beside the other. Rendering costs more than training, so a pool keeps the images small, serves
each several times in other cuts, and is renewed as it goes.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from tpos_live.core.atomic import atomic_write
from tpos_live.evaluation.classifier.model import (
    FILE,
    PART,
    SIDE,
    SceneClassifier,
    load_classifier,
    save_classifier,
    shrink,
)
from tpos_live.evaluation.metrics.statistics import spearman
from tpos_live.training.image_model.recipe import PLAIN, Recipe, render
from tpos_live.training.scenes.families import FAMILIES
from tpos_live.training.scenes.finishing import MOODS, STYLES
from tpos_live.training.text.captions import COLOURS

CAPACITY = 5000
"""Images in the pool, 49 kB each."""
BATCH = 40
FRESH = 4
"""New images for every batch; each is seen about BATCH / FRESH times."""
CUT = 112
"""Side of the part of an image that a step sees, another one each time."""
RATE = 3e-3
AVERAGE = 0.98
"""Of the weights that are kept, a moving average over some fifty steps."""
FIRST = 240
"""Images in the pool before the first step."""
TWO = 0.25
"""Share of images that hold two families."""
SOFT = 4.0
"""How near to a maximum the mean over an image's parts is."""
NONE = -1
"""The second family of an image that has only one."""
SAVE = 150.0
"""Seconds between checkpoints."""
_HELD_OUT = 1_000_003
"""Added to the seed for images that are never trained on."""


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
        float [count].

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
        strength = torch.tensor([recipe.scalars[0] for recipe in recipes], device=self._device)
        kind, other = (torch.tensor(numbers, device=self._device) for numbers in (order, seconds))
        return (small * 255 + 0.5).to(torch.uint8), kind, other, strength


_KEPT = ("images", "kind", "second", "strength")
"""What a pool keeps of each image, in the order of `Images.make`."""


class Pool:
    """The last CAPACITY images of a source, small; `fresh` says where the newest are. Kept in a file between runs."""

    def __init__(self, source: Images, device: torch.device) -> None:
        self.source = source
        self.images = torch.empty(CAPACITY, 3, SIDE, SIDE, dtype=torch.uint8, device=device)
        self.kind, self.second = (torch.empty(CAPACITY, dtype=torch.long, device=device) for _ in range(2))
        self.strength = torch.empty(CAPACITY, device=device)
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


def train_classifier(
    folder: Path,
    minutes: float,
    seed: int,
    families: Sequence[str],
    threads: int | None = None,
    accelerator: str | None = None,
    resume: bool = False,
    held_out: int = 600,
    run: Path | None = None,
) -> dict[str, object]:
    """Train for `minutes`, write the classifier into an engine folder, return how good it is on `held_out` new renders.

    families: names of scene families. accelerator: "cpu", "cuda", ... or None for the best there is. resume: go on
    from the classifier that is there; what it knows of other families is kept where it is wanted. run: where images
    are kept for the next time; None = nowhere. Raises ValueError for a family that does not exist.
    """
    if unknown := [name for name in families if name not in FAMILIES]:
        raise ValueError(f"there is no scene family {unknown[0]!r}; families are {', '.join(FAMILIES)}")
    if threads is not None:
        torch.set_num_threads(threads)
    device = torch.device(accelerator or ("cuda" if torch.cuda.is_available() else "cpu"))
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    classifier, before, rate = SceneClassifier(tuple(families)), 0, RATE
    if resume:
        known, told = load_classifier(folder)
        before = int(str(told["steps"]))
        inherit(classifier, known)
        rate = RATE / 2 if known.families == classifier.families else RATE
    classifier = classifier.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=rate, weight_decay=0.02)
    pool = Pool(Images(families, seed + before, device, TWO), device)
    if run is not None and resume:
        pool.load(run / "pictures.safetensors")
    first = min(FIRST, max(BATCH, round(FIRST * minutes)))
    while pool.filled < first:
        pool.renew(FRESH)
    kept = {name: value.clone() for name, value in classifier.state_dict().items()}
    steps, begin, shown, saved = 0, time.monotonic(), 0.0, 0.0
    classifier.train()
    with tqdm(total=round(minutes * 60), unit="s", desc="classifier", mininterval=5.0) as bar:
        while (spent := time.monotonic() - begin) < minutes * 60 or steps == 0:
            left = max(0.0, 1 - spent / max(minutes * 60, 1e-6))
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, (steps + 1) / 30) * (0.01 + 0.99 * left)
            pool.renew(FRESH)
            take = torch.randint(pool.filled, (BATCH,), generator=rng)
            take[-FRESH:] = pool.fresh  # so that every image is seen at once
            images = augment(pool.images[take].float() / 255, rng)
            named, other, strength = pool.kind[take], pool.second[take], pool.strength[take]
            with coarse(device):
                seen = classifier.places(images)
            loss, answers = losses(classifier, seen.float(), named, other, strength, rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            share = 1 - min(AVERAGE, (steps + 1) / (steps + 10))
            for name, value in classifier.state_dict().items():
                kept[name] = torch.lerp(kept[name], value, share) if value.is_floating_point() else value.clone()
            # Of images that it meets for the first time: what it would say of new ones.
            right = (answers == named)[-FRESH:].float().mean().item()
            shown += max(0.01, 1 / (steps + 1)) * (right - shown)
            steps += 1
            bar.n = min(bar.total, int(spent))
            bar.set_postfix(right=f"{shown:.3f}", loss=f"{loss.item():.3f}", steps=steps, refresh=False)
            bar.update(0)
            if run is not None and spent - saved > SAVE:
                saved = spent
                pool.save(run / "pictures.safetensors")
                save_classifier(
                    _with(families, kept), run / FILE, {"seed": seed, "steps": before + steps, "side": SIDE}
                )
    if run is not None:
        pool.save(run / "pictures.safetensors")
    classifier = _with(families, kept).to(device)
    facts: dict[str, object] = {"seed": seed, "steps": before + steps, "side": SIDE}
    facts |= examine(classifier, seed + _HELD_OUT, held_out, device)
    save_classifier(classifier, folder / FILE, facts)
    return facts


def losses(
    classifier: SceneClassifier, places: torch.Tensor, kind: torch.Tensor, second: torch.Tensor, strength: torch.Tensor,
    rng: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """What falls, a scalar, and the family [batch] that is named for each whole image.

    places: of `SceneClassifier.places`. An image of one family is named as a whole and by one part of it, and its
    intensity is read. Of two, every part shows one or the other, and both are named somewhere.
    """
    whole = F.silu(classifier.features(places.mean((2, 3))))
    logits, strengths = classifier.family(whole), classifier.strength(whole)
    one = second == NONE
    part = classifier.family(F.silu(classifier.features(window(places[one], rng))))
    said = strengths[one].gather(1, kind[one, None])[:, 0]
    loss = F.cross_entropy(logits[one], kind[one], label_smoothing=0.02)
    loss = loss + 0.5 * F.cross_entropy(part, kind[one], label_smoothing=0.1)
    loss = loss + 12 * F.mse_loss(said, strength[one])
    if not one.all():
        names = torch.stack([kind[~one], second[~one]], 1)
        sure = classifier.within(places[~one]).log_softmax(-1)
        both = sure.gather(2, names[:, None].expand(-1, sure.shape[1], -1))  # [batch, parts, 2]
        anywhere = (SOFT * both).logsumexp(1) / SOFT  # nearly the surest part
        share = float((~one).float().mean())
        loss = loss + share * (-both.logsumexp(-1).mean() - anywhere.clamp_max(0.0).mean())
    return loss, logits.argmax(1)


def _with(families: Sequence[str], weights: dict[str, torch.Tensor]) -> SceneClassifier:
    """A classifier as it will be loaded, rounding included."""
    classifier = SceneClassifier(tuple(families)).eval().requires_grad_(False)
    classifier.load_state_dict({k: v.half().to(v) if v.is_floating_point() else v for k, v in weights.items()})
    return classifier


def inherit(classifier: SceneClassifier, known: SceneClassifier) -> None:
    """Give a classifier all that another one knows; families that the other does not know stay as they are."""
    both = [name for name in classifier.families if name in known.families]
    here, there = ([one.families.index(name) for name in both] for one in (classifier, known))
    mine = classifier.state_dict()
    for name, value in known.state_dict().items():
        if mine[name].shape == value.shape and not name.startswith(("family.", "strength.2.")):
            mine[name].copy_(value)
        else:
            mine[name][here] = value[there]


def coarse(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the processor has it: half the time."""
    if device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


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


def window(places: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """The mean over one part of PART by PART places, anywhere: [batch, channels] of [batch, channels, h, w].

    A classifier that also knows a scene by a part of it finds two in one image.
    """
    y, x = (int(torch.randint(side - PART + 1, (), generator=rng)) for side in places.shape[2:])
    return places[:, :, y : y + PART, x : x + PART].mean((2, 3))


def soften(images: torch.Tensor, cells: int) -> torch.Tensor:
    """Blurred images: a small network's are soft, and an aurora without its finest rays is one still."""
    return F.interpolate(F.avg_pool2d(images, cells), size=images.shape[-2:], mode="bilinear", align_corners=False)


def examine(classifier: SceneClassifier, seed: int, count: int, device: torch.device) -> dict[str, object]:
    """Accuracy and the mean over families of the intensity's rank correlation, on `count` fresh renders.

    The plain ones among them have any palette and style, but no mood, which exposes an image brighter or darker.
    Each is looked at once more softened, as a small network's images are.
    """
    source = Images(classifier.families, seed, device)
    plain: list[bool] = []
    soft: list[bool] = []
    right: dict[str, list[bool]] = {name: [] for name in classifier.families}
    knob: dict[str, list[float]] = {name: [] for name in classifier.families}
    said: dict[str, list[float]] = {name: [] for name in classifier.families}
    taken: Counter[tuple[str, str]] = Counter()
    for _ in range(-(-count // 24)):
        images, kind, _, strength = source.make(24)
        logits, strengths = classifier(images.float() / 255)
        soft += (classifier(soften(images.float() / 255, 4))[0].argmax(1) == kind).tolist()
        for row, number in enumerate(kind.tolist()):
            name, answer = classifier.families[number], classifier.families[int(logits[row].argmax())]
            right[name].append(answer == name)
            if answer != name:
                taken[name, answer] += 1
            if source.moods[row] == "plain":
                plain.append(right[name][-1])
            knob[name].append(float(strength[row]))
            said[name].append(float(strengths[row, number]))
    known = [name for name in classifier.families if right[name]]
    shares = {name: sum(right[name]) / len(right[name]) for name in known}
    ranks = [spearman(knob[name], said[name]) for name in known if len(knob[name]) > 2]
    worst = min(shares, key=shares.__getitem__)
    return {
        "held_out": len(soft),
        "accuracy": round(sum(map(sum, right.values())) / len(soft), 4),
        "plain_accuracy": round(sum(plain) / max(len(plain), 1), 4),
        "soft_accuracy": round(sum(soft) / len(soft), 4),
        "worst_family": worst,
        "worst_accuracy": round(shares[worst], 4),
        "intensity_spearman": round(sum(ranks) / max(len(ranks), 1), 4),
        "mistaken": ["{} for {}: {}".format(*pair, n) for pair, n in taken.most_common(8)],
    }
