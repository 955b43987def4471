"""How well a whole prompt fits each scene of an engine.

A prompt that describes its scene without the usual name, such as `a huge starry pinwheel`, is near to no phrase: by the
nearest phrases alone 56 % of such descriptions find their scene. What a linear classifier learned from 1,800 of them
(`tpos_live.training.text.descriptions`) is added to the cosines: 65 % of descriptions that it did not learn.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch

from tpos_live.core.tensor_file import read_tensors

log = logging.getLogger(__name__)

FILE = "descriptions.safetensors"
"""In an engine folder: by family the weights of a sentence vector and then one that is added, float32 [dim + 1]."""
_TOGETHER = 3
"""Nearest phrases of a family whose mean cosine counts: a single one is often only spelled alike."""


class SceneScores:
    """Immutable: any thread may call it."""

    def __init__(self, rows: Mapping[str, Sequence[int]], learned: Mapping[str, torch.Tensor], dim: int) -> None:
        """rows: by family its phrases' places. learned: of FILE; without one of the families, none of it is used."""
        self._rows = rows
        fits = all(name in learned and learned[name].shape == (dim + 1,) for name in rows)
        table = torch.stack([learned[name].float() for name in rows]) if fits else torch.zeros(len(rows), dim + 1)
        self._weights, self._bias = table[:, :-1], table[:, -1]

    def __call__(self, vector: torch.Tensor, cosines: torch.Tensor) -> dict[str, float]:
        """By family. vector: float [dim], unit length, of the prompt. cosines: float [phrases], to every phrase."""
        near = [cosines[rows].topk(min(_TOGETHER, len(rows))).values.mean() for rows in self._rows.values()]
        scores = torch.stack(near) + self._weights @ vector + self._bias
        return dict(zip(self._rows, scores.tolist(), strict=True))


def best(scores: Mapping[str, float], among: Collection[str]) -> str:
    """The family of `among` with the highest score."""
    return max((name for name in scores if name in among), key=scores.__getitem__)


def read_learned(folder: Path) -> dict[str, torch.Tensor]:
    """What an engine folder's classifier learned; nothing where it has none, or a damaged one."""
    path = folder / FILE
    try:
        learned = read_tensors(path)
        if all(bool(torch.isfinite(numbers).all()) for numbers in learned.values()):
            return learned
        log.warning(f"{path}: it has numbers that are not finite, so prompts are matched without it")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning(f"{path}: damaged, so prompts are matched without it ({error})")
    return {}
