"""Fuses the projections of a UNet into fewer and larger matrix products, for a card that small ones do not fill.

At batch size 1 most matrix products of a UNet are so small that launching them dominates. Three kinds can be fused
without changing the result:

- query, key and value of a self-attention: one product of the same input;
- keys and values of all cross-attentions: one product of the tokens, computed before the first cross-attention;
- the time embedding's projections, one for each residual block: one product of the embedding.

The old parameters become views of the fused weights. So no weight lies in memory twice, and a write to a weight in
place, as a live LoRA does it, changes both.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F


def fuse_projections(unet: torch.nn.Module) -> bool:
    """Fuse the projections of a UNet2DConditionModel in place, once; False where its layers are of unsupported kinds.

    Its arguments stay the same, and so do its results except for rounding.
    """
    from diffusers.models.attention_processor import Attention
    from diffusers.models.resnet import ResnetBlock2D

    if hasattr(unet, "joined_tokens"):
        return True
    config: Any = unet.config
    attentions = [module for module in unet.modules() if isinstance(module, Attention)]
    crossed = [attention for attention in attentions if attention.is_cross_attention]
    if config.encoder_hid_dim_type or not crossed or not all(map(_plain, crossed)):
        return False
    for attention in attentions:
        if not attention.is_cross_attention and _plain(attention):
            attention.register_buffer("joined", _one(attention.to_q, attention.to_k, attention.to_v), persistent=False)
            attention.set_processor(SelfAttention())
    tokens = _one(*(layer for attention in crossed for layer in (attention.to_k, attention.to_v)))
    unet.register_buffer("joined_tokens", tokens, persistent=False)
    first = 0
    for attention in crossed:
        width = attention.to_k.out_features
        attention.set_processor(CrossAttention(first, width))
        first += 2 * width
    unet.process_encoder_hidden_states = MethodType(_project_tokens, unet)  # type: ignore[assignment]
    blocks = [module for module in unet.modules() if isinstance(module, ResnetBlock2D)]
    # Where another embedding is added to the time embedding, the projections must follow that sum.
    alone = not (config.addition_embed_type or config.class_embed_type or config.time_embedding_act_fn)
    if alone and all(map(_timed, blocks)):
        _join_time(unet, blocks)
    return True


def _plain(attention: Any) -> bool:
    """Whether an attention consists only of three projections, the attention itself and one output projection."""
    layers = (attention.to_q, attention.to_k, attention.to_v)
    extras = (attention.spatial_norm, attention.group_norm, attention.norm_q, attention.norm_k, attention.norm_cross)
    return (
        all(isinstance(layer, torch.nn.Linear) and layer.bias is None for layer in layers)
        and not any(extras)
        and attention.add_k_proj is None
        and not attention.residual_connection
        and attention.rescale_output_factor == 1.0
    )


def _timed(block: Any) -> bool:
    return isinstance(block.time_emb_proj, torch.nn.Linear) and block.time_embedding_norm == "default"


def _one(*layers: torch.nn.Linear, of: str = "weight") -> torch.Tensor:
    """The layers' weights, or biases, concatenated by rows; the layers' own parameters become views of the result."""
    joined = torch.cat([getattr(layer, of).detach() for layer in layers])
    rows = [len(getattr(layer, of)) for layer in layers]
    for layer, part in zip(layers, joined.split(rows), strict=True):
        setattr(layer, of, torch.nn.Parameter(part, requires_grad=False))
    return joined


def _heads(states: torch.Tensor, attention: Any) -> torch.Tensor:
    """[B, rows, heads * d] to [B, heads, rows, d]."""
    return states.unflatten(-1, (attention.heads, -1)).transpose(1, 2)


def _attend(attention: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    query, key, value = (_heads(states, attention) for states in (query, key, value))
    found = F.scaled_dot_product_attention(query, key, value)
    return attention.to_out[0](found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class SelfAttention:
    """Attention processor that computes query, key and value by the fused weights `joined`, [3 * width, width]."""

    def __call__(self, attention: Any, hidden_states: torch.Tensor, *_rest: Any, **_more: Any) -> torch.Tensor:
        """hidden_states: [B, rows, width], the result too."""
        return _attend(attention, *F.linear(hidden_states, attention.joined).chunk(3, -1))


class CrossAttention:
    """Attention processor that takes its keys and values from the projected tokens."""

    def __init__(self, first: int, width: int) -> None:
        """first: first column of its keys. width: of the keys, and of the values, which follow them."""
        self.first, self.width = first, width

    def __call__(
        self, attention: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, *_rest: Any,
        **_more: Any,
    ) -> torch.Tensor:  # fmt: skip
        """hidden_states: [B, rows, width], the result too. encoder_hidden_states: [B, tokens, all columns]."""
        key, value = encoder_hidden_states[..., self.first : self.first + 2 * self.width].chunk(2, -1)
        return _attend(attention, attention.to_q(hidden_states), key, value)


def _project_tokens(unet: Any, encoder_hidden_states: torch.Tensor, added_cond_kwargs: object = None) -> torch.Tensor:
    """Replaces the UNet's `process_encoder_hidden_states`: computes keys and values of all cross-attentions."""
    return F.linear(encoder_hidden_states, unet.joined_tokens)


def _join_time(unet: Any, blocks: list[Any]) -> None:
    layers = [block.time_emb_proj for block in blocks]
    unet.time_embedding = FusedTimeProjections(unet.time_embedding, _one(*layers), _one(*layers, of="bias"))
    first = 0
    for block, layer in zip(blocks, layers, strict=True):
        block.time_emb_proj, block.skip_time_act = Columns(first, layer.out_features), True
        first += layer.out_features


class FusedTimeProjections(torch.nn.Module):
    """The time embedding, followed by all residual blocks' projections of it."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, embedding: torch.nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, timestep: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Sinusoids [B, n] to [B, all columns]."""
        return F.linear(F.silu(self.embedding(timestep, condition)), self.weight, self.bias)


class Columns(torch.nn.Module):
    """Replaces a block's projection: selects its columns of the fused one."""

    def __init__(self, first: int, width: int) -> None:
        super().__init__()
        self.first, self.width = first, width

    def forward(self, joined: torch.Tensor) -> torch.Tensor:
        return joined[:, self.first : self.first + self.width]
