"""What the sound encoder is trained to: our losses, and those of the paper as it was released, to compare.

Ours are TPoS's (Jeong et al., ICCV 2023, section 3.2) put right: the newest step and the attended meaning against the
texts at every moment, divided by a learned temperature; a clip against its own augmentation; the text encoder's hidden
states, regressed by a linear mapping from the very vector that the stage hands on; and, new, the density of procedural
sounds, whatever their level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tpos_live.training.audio_model.net import EncoderNet, Heard
from tpos_live.training.audio_model.stream_dataset import Batch

PAPER_SCALE = math.exp(0.07)
"""The released code multiplies cosines by this where it means to divide them by a temperature of 0.07."""


@dataclass(frozen=True)
class Weights:
    """Of the parts of the loss; smoothing: of labels."""

    newest: float = 1.0
    text: float = 1.0
    contrast: float = 0.02
    states: float = 0.2
    density: float = 2.0
    smoothing: float = 0.05


@dataclass(frozen=True)
class Texts:
    """All that a sound may mean. vectors: unit [n, dim]; states: [n, rows, dim]."""

    vectors: torch.Tensor
    states: torch.Tensor


def own_losses(net: EncoderNet, heard: Heard, batch: Batch, texts: Texts, weights: Weights) -> dict[str, torch.Tensor]:
    """Each part of the loss, weighted, a scalar; their sum is what falls."""
    label, weight = torch.from_numpy(batch.label), torch.from_numpy(batch.weight)
    scale = 1.0 / net.temperature.clamp(math.log(0.03), math.log(0.5)).exp()

    def text(vectors: torch.Tensor) -> torch.Tensor:
        logits = (F.normalize(vectors, dim=-1) @ texts.vectors.T * scale).flatten(0, 1)
        each = F.cross_entropy(logits, label.flatten(), reduction="none", label_smoothing=weights.smoothing)
        return (each * weight.flatten()).sum() / weight.sum().clamp_min(1.0)

    density = torch.from_numpy(batch.density)
    known = density.isfinite() & (weight > 0)
    off = (heard.density - density.nan_to_num())[known]
    return {
        "newest": weights.newest * text(heard.newest),
        "text": weights.text * text(heard.meaning),
        "contrast": weights.contrast * own_augmentation(heard.meaning[:, -1], label[:, -1], scale),
        "states": weights.states * _states(net, heard, texts, label[:, -1], weight[:, -1]),
        "density": weights.density * (off.pow(2).mean() if known.any() else off.sum()),
    }


def paper_losses(net: EncoderNet, heard: Heard, batch: Batch, texts: Texts) -> dict[str, torch.Tensor]:
    """The released code's, faults and all: last states alone, no temperature, an augmentation held against itself."""
    label, weight = torch.from_numpy(batch.label[:, -1]), torch.from_numpy(batch.weight[:, -1])

    def text(vectors: torch.Tensor) -> torch.Tensor:
        logits = PAPER_SCALE * F.normalize(vectors, dim=-1) @ texts.vectors.T
        return (F.cross_entropy(logits, label, reduction="none") * weight).sum() / weight.sum().clamp_min(1.0)

    other = F.normalize(heard.meaning[len(label) // 2 :, -1], dim=-1)
    trivial = F.cross_entropy(PAPER_SCALE * other @ other.T, torch.arange(len(other)))
    return {
        "newest": text(heard.newest[:, -1]) / 2,
        "text": text(heard.meaning[:, -1]) / 2,
        "contrast": trivial / 3,
        "states": _states(net, heard, texts, label, weight),
    }


def _states(
    net: EncoderNet, heard: Heard, texts: Texts, label: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:  # fmt: skip
    """Mean square off the text encoder's states. One moment of each stream is enough to learn a linear mapping."""
    rows = texts.states[label]
    told = net.states(F.normalize(heard.meaning[:, -1], dim=-1)).view_as(rows)
    return ((told - rows).pow(2).mean((-1, -2)) * weight).sum() / weight.sum().clamp_min(1.0)


def own_augmentation(vectors: torch.Tensor, label: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """A clip finds its own other hearing among all, both ways; others of the same text do not count as wrong."""
    half, vectors = len(vectors) // 2, F.normalize(vectors, dim=-1)
    logits = vectors[:half] @ vectors[half:].T * scale
    same = (label[:half, None] == label[None, half:]) & ~torch.eye(half, dtype=torch.bool)
    logits = logits.masked_fill(same, -1e4)
    target = torch.arange(half)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
