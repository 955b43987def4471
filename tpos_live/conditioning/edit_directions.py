"""What the sound would have the engine draw, apart from the prompt: the input of semantic guidance."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class EditDirections:
    """prompt_embeds: float [K, rows, dim], each as a prompt of its own; valid until the builder's next call.
    weights: K of them, none negative, one in sum. share: how much the sound is to move the picture, 0 to 1."""

    prompt_embeds: torch.Tensor
    weights: tuple[float, ...]
    share: float
