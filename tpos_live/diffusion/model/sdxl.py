"""The pooled row: passes Stable Diffusion XL's pooled embedding as one more row of the tokens.

Stable Diffusion XL's UNet takes, besides the states of two text encoders, one pooled embedding of the whole text and
six numbers: the image's size, the crop's offset, and the size again (Podell et al. 2023, section 2.2). The pooled
embedding becomes one row before the text's rows, padded with zeros, and the six numbers follow from the latent. So for
fades, guidance, audio tokens, captured graphs and converted engines there is only a UNet of (sample, timestep, tokens).

The row comes first, because audio tokens are appended at the end, and other code repeats the last rows of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from tpos_live.diffusion.model.unet_wrapper import UnetWrapper

ADDED = "text_time"
"""`addition_embed_type` of a UNet with a pooled embedding and the six numbers."""
_NUMBERS = 6


def pooled_width(config: Mapping[str, Any]) -> int:
    """Length of the pooled embedding, by a UNet's configuration; 0 where it has none."""
    if config.get("addition_embed_type") != ADDED:
        return 0
    return int(config["projection_class_embeddings_input_dim"]) - _NUMBERS * int(config["addition_time_embed_dim"])


def pack(states: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """Rows [n, 1 + words, dim]: first the pooled embeddings [n, width], width <= dim, then states [n, words, dim]."""
    row = F.pad(pooled, (0, states.shape[-1] - pooled.shape[-1]))
    return torch.cat([row[:, None], states], dim=1)


class PooledUnet(UnetWrapper):
    """A UNet that takes its pooled embedding from the first row of its tokens."""

    def __init__(self, unet: torch.nn.Module, width: int, factor: int) -> None:
        """width: of the pooled embedding. factor: pixels along one side of a latent pixel."""
        super().__init__(unet)
        self.width, self.factor = width, factor

    def inputs(self, sample: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, dict[str, object]]:
        # In float32, as the embedding of the numbers: an exported network must concatenate tensors of one type.
        pooled = tokens[:, 0, : self.width].float()
        added = {"text_embeds": pooled, "time_ids": self._numbers(sample)}
        return sample, {"encoder_hidden_states": tokens[:, 1:], "added_cond_kwargs": added}

    def _numbers(self, sample: torch.Tensor) -> torch.Tensor:
        """Height and width in pixels, no crop, height and width: float32 [B, 6].

        They are filled in on the device, because a CUDA graph cannot contain this copy from the host.
        """
        height, width = (float(int(side) * self.factor) for side in sample.shape[-2:])
        rows = sample.shape[:1]
        columns = [
            torch.full(rows, value, dtype=torch.float32, device=sample.device)
            for value in (height, width, 0.0, 0.0, height, width)
        ]
        return torch.stack(columns, dim=1)
