"""Several prompts in one picture, each with a part of it: what fades and the bank hand to the painter."""

from __future__ import annotations

from dataclasses import dataclass

import torch

MAX_REGIONS = 3
"""Prompts that a picture is made of at once; each costs a row of the UNet while it lasts."""


@dataclass(frozen=True, slots=True)
class Regions:
    """prompt_embeds: float [K, rows, dim], each as a prompt of its own; valid until the builder's next call.
    weights: K of them, 2 to MAX_REGIONS, all above zero, one in sum: shares of the picture's area."""

    prompt_embeds: torch.Tensor
    weights: tuple[float, ...]
