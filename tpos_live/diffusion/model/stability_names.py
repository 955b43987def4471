"""The names of a UNet's layers in Stability's own code, which many LoRA files and checkpoints use.

There, all blocks of the down path are one list ("input_blocks"), and those of the up path another ("output_blocks").
Each entry has a residual block, an attention and a resampling layer, by number. diffusers groups them by resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_ENDS = {
    "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2", "conv_norm_out": "out.0",
    "conv_out": "out.2",
}  # fmt: skip


def stability_names(unet: torch.nn.Module) -> dict[str, str]:
    """diffusers' names of a UNet's layers, by Stability's names; empty for other kinds of networks."""
    if not all(hasattr(unet, part) for part in ("down_blocks", "mid_block", "up_blocks")):
        return {}
    blocks = {ours: theirs for theirs, ours in _blocks(unet)}
    names = {_ENDS[name]: name for name, _ in unet.named_modules() if name in _ENDS}
    for name, _ in unet.named_modules():
        ours = next((ours for ours in blocks if f"{name}.".startswith(f"{ours}.")), None)
        if ours is not None:
            inner = name[len(ours) + 1 :]
            inner = _RESNET.get(inner, inner) if ".resnets." in name else inner
            names[f"{blocks[ours]}.{inner}".rstrip(".")] = name
    return names


def _blocks(unet: torch.nn.Module) -> Iterator[tuple[str, str]]:
    """Stability's name and diffusers' name of each residual block, attention and resampling layer."""
    at = 1  # the first convolution is block 0
    for number, block in enumerate(_children(unet, "down_blocks")):
        ours = f"down_blocks.{number}"
        for each, _ in enumerate(block.resnets):
            yield f"input_blocks.{at}.0", f"{ours}.resnets.{each}"
            yield f"input_blocks.{at}.1", f"{ours}.attentions.{each}"
            at += 1
        if getattr(block, "downsamplers", None) is not None:
            yield f"input_blocks.{at}.0.op", f"{ours}.downsamplers.0.conv"
            at += 1
    for number, part in enumerate(("resnets.0", "attentions.0", "resnets.1")):
        yield f"middle_block.{number}", f"mid_block.{part}"
    at = 0
    for number, block in enumerate(_children(unet, "up_blocks")):
        ours, place = f"up_blocks.{number}", 1 + hasattr(block, "attentions")
        for each, _ in enumerate(block.resnets):
            yield f"output_blocks.{at}.0", f"{ours}.resnets.{each}"
            yield f"output_blocks.{at}.1", f"{ours}.attentions.{each}"
            at += 1
        if getattr(block, "upsamplers", None) is not None:
            yield f"output_blocks.{at - 1}.{place}.conv", f"{ours}.upsamplers.0.conv"


def _children(unet: torch.nn.Module, part: str) -> Iterator[Any]:
    yield from unet.get_submodule(part).children()
