"""The losses of the audio encoder: our own, and those of the TPoS paper's released code, for comparison.

Ours correct those of TPoS (Jeong et al., ICCV 2023, section 3.2):

- cross-entropy over the texts, with a learned temperature, of the newest step and of the attended embedding, at every
  step;
- a contrastive loss between a clip and its own augmentation;
- the mean squared error of the text encoder's hidden states, predicted by a linear mapping from the normalised
  embedding, which is what a live show uses;
- new: the mean squared error of the density of procedural sounds, at any level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tpos_live.training.audio_model.net import EncoderNet, EncoderOutput
from tpos_live.training.audio_model.stream_dataset import Batch

PAPER_SCALE = math.exp(0.07)
"""The released code multiplies cosines by this where it means to divide them by a temperature of 0.07."""


@dataclass(frozen=True)
class Weights:
    """Weights of the losses. smoothing: label smoothing, 0 to 1."""

    newest: float = 1.0
    text: float = 1.0
    contrast: float = 0.02
    states: float = 0.2
    density: float = 2.0
    smoothing: float = 0.05


@dataclass(frozen=True)
class Texts:
    """The texts that a sound may be labelled with. vectors: unit [n, dim]; states: [n, tokens, dim]."""

    vectors: torch.Tensor
    states: torch.Tensor


def own_losses(
    net: EncoderNet, output: EncoderOutput, batch: Batch, texts: Texts, weights: Weights
) -> dict[str, torch.Tensor]:
    """The losses by name, weighted scalars; training minimises their sum."""
    label, weight = torch.from_numpy(batch.label), torch.from_numpy(batch.weight)
    scale = 1.0 / net.temperature.clamp(math.log(0.03), math.log(0.5)).exp()

    def text(vectors: torch.Tensor) -> torch.Tensor:
        logits = (F.normalize(vectors, dim=-1) @ texts.vectors.T * scale).flatten(0, 1)
        each = F.cross_entropy(logits, label.flatten(), reduction="none", label_smoothing=weights.smoothing)
        return (each * weight.flatten()).sum() / weight.sum().clamp_min(1.0)

    density = torch.from_numpy(batch.density)
    known = density.isfinite() & (weight > 0)
    off = (output.density - density.nan_to_num())[known]
    return {
        "newest": weights.newest * text(output.newest),
        "text": weights.text * text(output.meaning),
        "contrast": weights.contrast * own_augmentation(output.meaning[:, -1], label[:, -1], scale),
        "states": weights.states * _states(net, output, texts, label[:, -1], weight[:, -1]),
        "density": weights.density * (off.pow(2).mean() if known.any() else off.sum()),
    }


def paper_losses(net: EncoderNet, output: EncoderOutput, batch: Batch, texts: Texts) -> dict[str, torch.Tensor]:
    """The losses of the released code with its faults: the last step only, no temperature, and a contrastive loss
    that compares an augmentation with itself."""
    label, weight = torch.from_numpy(batch.label[:, -1]), torch.from_numpy(batch.weight[:, -1])

    def text(vectors: torch.Tensor) -> torch.Tensor:
        logits = PAPER_SCALE * F.normalize(vectors, dim=-1) @ texts.vectors.T
        return (F.cross_entropy(logits, label, reduction="none") * weight).sum() / weight.sum().clamp_min(1.0)

    other = F.normalize(output.meaning[len(label) // 2 :, -1], dim=-1)
    trivial = F.cross_entropy(PAPER_SCALE * other @ other.T, torch.arange(len(other)))
    return {
        "newest": text(output.newest[:, -1]) / 2,
        "text": text(output.meaning[:, -1]) / 2,
        "contrast": trivial / 3,
        "states": _states(net, output, texts, label, weight),
    }


def _states(
    net: EncoderNet, output: EncoderOutput, texts: Texts, label: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:  # fmt: skip
    """Mean squared error of the text encoder's states. The last step of each stream is enough to learn a linear
    mapping."""
    rows = texts.states[label]
    predicted = net.states(F.normalize(output.meaning[:, -1], dim=-1)).view_as(rows)
    return ((predicted - rows).pow(2).mean((-1, -2)) * weight).sum() / weight.sum().clamp_min(1.0)


def own_augmentation(vectors: torch.Tensor, label: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Symmetric contrastive loss between each clip and its augmentation; clips of the same text are no negatives.

    vectors: [2 n, dim]; row i + n is the augmentation of row i.
    """
    half, vectors = len(vectors) // 2, F.normalize(vectors, dim=-1)
    logits = vectors[:half] @ vectors[half:].T * scale
    same = (label[:half, None] == label[None, half:]) & ~torch.eye(half, dtype=torch.bool)
    logits = logits.masked_fill(same, -1e4)
    target = torch.arange(half)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
