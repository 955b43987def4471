"""Train the classifier on fresh renders: `tpos-live train classifier`.

A third of the images are softened, and a quarter hold two families; the pool of images is renewed as it goes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm

from tpos_live.evaluation.classifier.images import NONE, Images, Pool, augment, soften
from tpos_live.evaluation.classifier.model import (
    FILE,
    PART,
    SIDE,
    SceneClassifier,
    load_classifier,
    save_classifier,
)
from tpos_live.evaluation.metrics.statistics import spearman
from tpos_live.scenes.families import FAMILIES
from tpos_live.training.precision import autocast

BATCH = 40
FRESH = 4
"""New images for every batch; each is seen about BATCH / FRESH times."""
RATE = 3e-3
AVERAGE = 0.98
"""Of the weights that are kept, a moving average over some fifty steps."""
FIRST = 240
"""Images in the pool before the first step."""
TWO = 0.25
"""Share of images that hold two families."""
SOFT = 4.0
"""How near to a maximum the mean over an image's parts is."""
SAVE = 150.0
"""Seconds between checkpoints."""
_POOL_FILE = "pictures.safetensors"
_HELD_OUT = 1_000_003
"""Added to the seed for images that are never trained on."""


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
    pool = Pool(Images(families, seed + before, device, TWO), device)
    if run is not None and resume:
        pool.load(run / _POOL_FILE)
    first = min(FIRST, max(BATCH, round(FIRST * minutes)))
    while pool.filled < first:
        pool.renew(FRESH)
    trainer = ClassifierTrainer(classifier, pool, rate, rng)

    def checkpoint() -> None:
        if run is not None:
            pool.save(run / _POOL_FILE)
            so_far: dict[str, object] = {"seed": seed, "steps": before + trainer.steps, "side": SIDE}
            save_classifier(_with(families, trainer.kept), run / FILE, so_far)

    _train(trainer, 60 * minutes, checkpoint)
    if run is not None:
        pool.save(run / _POOL_FILE)
    classifier = _with(families, trainer.kept).to(device)
    facts: dict[str, object] = {"seed": seed, "steps": before + trainer.steps, "side": SIDE}
    facts |= examine(classifier, seed + _HELD_OUT, held_out, device)
    save_classifier(classifier, folder / FILE, facts)
    return facts


class ClassifierTrainer:
    """Trains a classifier on the images of a pool. steps: made so far; kept: the running mean of the weights."""

    def __init__(self, classifier: SceneClassifier, pool: Pool, rate: float, rng: torch.Generator) -> None:
        """rate: the peak learning rate. rng: of the batches and their cuts."""
        self._classifier, self._pool, self._rate, self._rng = classifier.train(), pool, rate, rng
        self._optimizer = torch.optim.AdamW(classifier.parameters(), lr=rate, weight_decay=0.02)
        self.kept = {name: value.clone() for name, value in classifier.state_dict().items()}
        self.steps = 0

    def step(self, left: float) -> tuple[float, float]:
        """One training step. left: the remaining share of the training time, which sets the learning rate.

        Returns the loss and the accuracy on the images that this step has rendered.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * min(1.0, (self.steps + 1) / 30) * (0.01 + 0.99 * left)
        pool, rng = self._pool, self._rng
        pool.renew(FRESH)
        take = torch.randint(pool.filled, (BATCH,), generator=rng)
        take[-FRESH:] = pool.fresh  # so that every image is seen at once
        images = augment(pool.images[take].float() / 255, rng)
        named, other = pool.kind[take], pool.second[take]
        with autocast(images.device.type):
            seen, read = self._classifier.places(images), self._classifier.intensities(images)
        loss, answers = losses(self._classifier, seen.float(), named, other, rng)
        loss = loss + 12 * intensity_loss(read.float(), named, pool.intensity[take])
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._keep()
        self.steps += 1
        return loss.item(), (answers == named)[-FRESH:].float().mean().item()

    def _keep(self) -> None:
        share = 1 - min(AVERAGE, (self.steps + 1) / (self.steps + 10))
        for name, value in self._classifier.state_dict().items():
            kept = self.kept[name]
            self.kept[name] = torch.lerp(kept, value, share) if value.is_floating_point() else value.clone()


def _train(trainer: ClassifierTrainer, seconds: float, checkpoint: Callable[[], None]) -> None:
    """Train for `seconds`, at least one step, with a checkpoint every SAVE seconds."""
    begin, shown, saved = time.monotonic(), 0.0, 0.0
    with tqdm(total=round(seconds), unit="s", desc="classifier", mininterval=5.0) as bar:
        while (spent := time.monotonic() - begin) < seconds or trainer.steps == 0:
            loss, right = trainer.step(max(0.0, 1 - spent / max(seconds, 1e-6)))
            shown += max(0.01, 1 / trainer.steps) * (right - shown)
            bar.n = min(bar.total, int(spent))
            bar.set_postfix(right=f"{shown:.3f}", loss=f"{loss:.3f}", steps=trainer.steps, refresh=False)
            bar.update(0)
            if spent - saved > SAVE:
                saved = spent
                checkpoint()


def losses(
    classifier: SceneClassifier, places: torch.Tensor, kind: torch.Tensor, second: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of the families, a scalar, and the predicted family [batch] of each whole image.

    places: the output of `SceneClassifier.places`. An image of one family must be recognised as a whole and from one
    part of it. Of an image of two families, each part must show one of them, and each family must be found in a part.
    """
    logits = classifier.family(F.silu(classifier.features(places.mean((2, 3)))))
    one = second == NONE
    part = classifier.family(F.silu(classifier.features(window(places[one], rng))))
    loss = F.cross_entropy(logits[one], kind[one], label_smoothing=0.02)
    loss = loss + 0.5 * F.cross_entropy(part, kind[one], label_smoothing=0.1)
    if not one.all():
        names = torch.stack([kind[~one], second[~one]], 1)
        sure = classifier.within(places[~one]).log_softmax(-1)
        both = sure.gather(2, names[:, None].expand(-1, sure.shape[1], -1))  # [batch, parts, 2]
        anywhere = (SOFT * both).logsumexp(1) / SOFT  # nearly the surest part
        share = float((~one).float().mean())
        loss = loss + share * (-both.logsumexp(-1).mean() - anywhere.clamp_max(0.0).mean())
    return loss, logits.argmax(1)


def intensity_loss(read: torch.Tensor, kind: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
    """The mean squared error, a scalar, of the predicted intensities [batch, families].

    kind: family numbers [batch]. intensity: targets [batch]; images whose target is NaN are left out.
    """
    known = intensity.isfinite()
    if not known.any():
        return read.new_zeros(())
    return F.mse_loss(read[known].gather(1, kind[known, None])[:, 0], intensity[known])


def _with(families: Sequence[str], weights: dict[str, torch.Tensor]) -> SceneClassifier:
    """The classifier with these weights, rounded to half precision as in its file."""
    classifier = SceneClassifier(tuple(families)).eval().requires_grad_(False)
    classifier.load_state_dict({k: v.half().to(v) if v.is_floating_point() else v for k, v in weights.items()})
    return classifier


def inherit(classifier: SceneClassifier, known: SceneClassifier) -> None:
    """Copy the weights of `known` into `classifier`; the outputs of families that `known` lacks stay as they are."""
    both = [name for name in classifier.families if name in known.families]
    here, there = ([one.families.index(name) for name in both] for one in (classifier, known))
    mine = classifier.state_dict()
    for name, value in known.state_dict().items():
        if mine[name].shape == value.shape and not name.startswith(("family.", "intensity.")):
            mine[name].copy_(value)
        else:
            mine[name][here] = value[there]


def window(places: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """The mean over one part of PART by PART places, anywhere: [batch, channels] of [batch, channels, h, w].

    A classifier that also knows a scene by a part of it finds two in one image.
    """
    y, x = (int(torch.randint(side - PART + 1, (), generator=rng)) for side in places.shape[2:])
    return places[:, :, y : y + PART, x : x + PART].mean((2, 3))


def examine(classifier: SceneClassifier, seed: int, count: int, device: torch.device) -> dict[str, object]:
    """Accuracy on `count` fresh renders, and the mean over families of the intensity's rank correlation on the plain.

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
        images, kind, _, intensity = source.make(24)
        logits, read = classifier(images.float() / 255), classifier.intensities(images.float() / 255)
        soft += (classifier(soften(images.float() / 255, 4)).argmax(1) == kind).tolist()
        for row, number in enumerate(kind.tolist()):
            name, answer = classifier.families[number], classifier.families[int(logits[row].argmax())]
            right[name].append(answer == name)
            if answer != name:
                taken[name, answer] += 1
            if source.moods[row] == "plain":
                plain.append(right[name][-1])
                knob[name].append(float(intensity[row]))
                said[name].append(float(read[row, number]))
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
