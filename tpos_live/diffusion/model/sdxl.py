"""The pooled row: how a UNet that wants more than tokens is fed by tokens alone.

Stable Diffusion XL's UNet takes, beside the states of two text encoders, one pooled embedding of the whole text and six
numbers: the image's size, where it was cropped, and the size again (Podell et al. 2023, section 2.2). The pooled
embedding travels as one row before the text's own, filled up with zeros, and the six numbers follow from the latent. So
fades, guidance, audio tokens, recordings and converted engines all see one UNet of (sample, timestep, tokens).

The row comes first because what is appended to a text, and what is repeated of its end, goes by its last rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from tpos_live.diffusion.model.unet_wrapper import UnetWrapper

ADDED = "text_time"
"""`addition_embed_type` of a UNet that wants a pooled embedding and the six numbers."""
_NUMBERS = 6


def pooled_width(config: Mapping[str, Any]) -> int:
    """Length of the pooled embedding that a UNet's configuration asks for; 0 where it asks for none."""
    if config.get("addition_embed_type") != ADDED:
        return 0
    return int(config["projection_class_embeddings_input_dim"]) - _NUMBERS * int(config["addition_time_embed_dim"])


def pack(states: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """States [n, words, dim] behind their pooled embeddings [n, width], width <= dim: [n, 1 + words, dim]."""
    row = F.pad(pooled, (0, states.shape[-1] - pooled.shape[-1]))
    return torch.cat([row[:, None], states], dim=1)


class PooledUnet(UnetWrapper):
    """A UNet that finds its pooled embedding in the first row of its tokens."""

    def __init__(self, unet: torch.nn.Module, width: int, factor: int) -> None:
        """width: of the pooled embedding. factor: pixels along one side of a latent pixel."""
        super().__init__(unet)
        self.width, self.factor = width, factor

    def inputs(self, sample: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, dict[str, object]]:
        # In float32, as the numbers' embedding is: what joins the two in an exported network wants one type.
        pooled = tokens[:, 0, : self.width].float()
        added = {"text_embeds": pooled, "time_ids": self._numbers(sample)}
        return sample, {"encoder_hidden_states": tokens[:, 1:], "added_cond_kwargs": added}

    def _numbers(self, sample: torch.Tensor) -> torch.Tensor:
        """Height and width in pixels, no crop, height and width: float32 [B, 6].

        Each is filled in on the device: a CUDA graph cannot hold a copy from the host.
        """
        height, width = (float(int(side) * self.factor) for side in sample.shape[-2:])
        rows = sample.shape[:1]
        columns = [
            torch.full(rows, value, dtype=torch.float32, device=sample.device)
            for value in (height, width, 0.0, 0.0, height, width)
        ]
        return torch.stack(columns, dim=1)
