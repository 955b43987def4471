"""The classifier: a small network that names the scene family of an image and says how intense it is.

It is trained on rendered scenes alone (`tpos-live train classifier`), so it knows what a scene should look
like and has never seen an image of the engine that it judges.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from tpos_live.core.errors import first_line
from tpos_live.core.paths import renamed

FEATURES = 64
SIDE = 128
"""Pixels of the shorter side of what the classifier looks at."""
FILE = Path("classifier") / "classifier.safetensors"
"""Where an engine folder keeps its classifier."""
OLD_FILE = Path("judge") / "judge.safetensors"
"""Where version 0.2 and earlier kept it."""
PART = 4
"""Positions along one side of a window: the window covers a quarter of a square image's area."""
_WIDTHS = (24, 48, 96, 128)


class ClassifierError(Exception):
    """There is no usable classifier: one line that says what, where and what to do."""


class SceneClassifier(nn.Module):
    """A convolutional network: spatial mean, FEATURES features, logits of the families.

    families: names, in the order of the outputs. A second convolutional network predicts the intensity: features that
    separate scene families are trained to ignore it.
    """

    def __init__(self, families: tuple[str, ...]) -> None:
        super().__init__()
        self.families = families
        self.body = _convolutions()
        self.features = nn.Linear(_WIDTHS[-1], FEATURES)
        self.family = nn.Linear(FEATURES, len(families))
        self.intensity_body = _convolutions()
        self.intensity = nn.Linear(2 * _WIDTHS[-1], len(families))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Features float [batch, FEATURES] of images [batch, 3, h, w] in [0, 1], of any size."""
        features: torch.Tensor = self.features(self.places(images).mean((2, 3)))
        return features

    def places(self, images: torch.Tensor) -> torch.Tensor:
        """The feature map [batch, channels, rows, columns], one position for every 16 pixels of SIDE."""
        seen: torch.Tensor = self.body(shrink(images) * 4 - 2)
        return seen

    def parts(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [batch, parts, families] of all overlapping windows of PART by PART positions."""
        return self.within(self.places(images))

    def within(self, places: torch.Tensor) -> torch.Tensor:
        """As `parts`, from the output of `places`."""
        pooled = F.avg_pool2d(places, PART, 1).flatten(2).transpose(1, 2)
        logits: torch.Tensor = self.family(F.silu(self.features(pooled)))
        return logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [batch, families]."""
        logits: torch.Tensor = self.family(F.silu(self.embed(images)))
        return logits

    def intensities(self, images: torch.Tensor) -> torch.Tensor:
        """Predicted intensity [batch, families], about 0 to 1: one value for each family that the image may be of.

        It holds for images without a mood, because a mood changes the exposure. The standard deviations over positions
        tell waves of different heights apart, which have the same means.
        """
        places = self.intensity_body(shrink(images) * 4 - 2)
        found: torch.Tensor = self.intensity(torch.cat([places.mean((2, 3)), places.std((2, 3))], 1))
        return found


def _convolutions() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for level, width in enumerate(_WIDTHS):
        layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU()]
        if level:
            layers.append(_Residual(width))
        before = width
    return nn.Sequential(*layers)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + F.silu(self.norm(self.conv(x)))


def shrink(images: torch.Tensor) -> torch.Tensor:
    """Images [batch, 3, h, w] with SIDE pixels along the shorter side, by means over areas."""
    h, w = images.shape[-2:]
    scale = SIDE / min(h, w)
    size = (round(h * scale), round(w * scale))
    return images if size == (h, w) else F.interpolate(images, size=size, mode="area")


def save_classifier(classifier: SceneClassifier, path: Path, facts: dict[str, object]) -> None:
    """Write weights in half precision; facts (seed, figures) and families go into the file's header."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in classifier.state_dict().items()
    }
    save_file(tensors, path, {"families": json.dumps(classifier.families), "facts": json.dumps(facts)})
    path.chmod(0o644)


def classifier_file(folder: Path) -> Path:
    """The classifier in an engine folder, that of an earlier version too; it may be missing."""
    return renamed(folder / FILE, folder / OLD_FILE)


def load_classifier(folder: Path) -> tuple[SceneClassifier, dict[str, object]]:
    """The classifier of an engine folder, ready to look, and its facts.

    Raises ClassifierError with one line where it is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    path = classifier_file(folder)
    if not path.exists():
        raise ClassifierError(f"{path}: there is no classifier; make it with tpos-live train classifier")
    try:
        with safe_open(path, framework="pt") as opened:
            header = opened.metadata()
        classifier = SceneClassifier(tuple(json.loads(header["families"])))
        classifier.load_state_dict({name: value.float() for name, value in load_file(path).items()}, strict=True)
        facts = dict(json.loads(header["facts"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ClassifierError(
            f"{path}: damaged classifier ({first_line(error)}); make it again: tpos-live train classifier"
        ) from error
    return classifier.eval().requires_grad_(False), facts
