"""Texts as vectors of their meaning, by the engine's own text encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

_BATCH = 128

Sentences = Callable[[list[str]], torch.Tensor]
"""Texts to sentence vectors, float [texts, dim]."""


def unit_vectors(sentences: Sentences, texts: Sequence[str]) -> torch.Tensor:
    """Sentence vectors of unit length on the CPU, float32 [texts, dim], encoded in batches."""
    parts = [sentences(list(texts[at : at + _BATCH])).float().cpu() for at in range(0, len(texts), _BATCH)]
    return torch.nn.functional.normalize(torch.cat(parts), dim=-1)
