"""A text encoder without a network: the same states for the same text, float [24, 128]."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch


def encode(text: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    return torch.nn.functional.layer_norm(torch.randn(24, 128, generator=generator), (128,))


def encode_all(texts: Sequence[str]) -> torch.Tensor:
    return torch.stack([encode(text) for text in texts])
