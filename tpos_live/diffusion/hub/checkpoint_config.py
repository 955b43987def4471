"""Identifies a single-file checkpoint, and derives the configurations of its parts from the shapes of its tensors.

A Stable Diffusion checkpoint in Stability's own format holds UNet, decoder and text encoders in one file, without their
classes or configurations. The shapes determine all values but a few constants, which are the same in each generation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tpos_live.core.errors import EngineError

UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP, OPEN_CLIP = "cond_stage_model.transformer.", "cond_stage_model.model."
XL_CLIP, XL_OPEN_CLIP = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
_HEAD = 64
"""Channels of an attention head, in text encoders and in the UNets of Stable Diffusion 2 and XL; 1 has eight heads."""
_LAST_OF_2 = 23
"""Stable Diffusion 2 uses the state before its text encoder's last block, which is this one."""
_OTHERS = {
    "double_blocks.": "Flux", "joint_blocks.": "Stable Diffusion 3", "conditioner.embedders.0.model.": "a refiner",
    "edm_mean": "Playground", "control_model.": "a ControlNet", "lora_": "a LoRA", ".lora.": "a LoRA",
    "down_blocks.": "one part in diffusers' format", "emb_params": "a textual inversion",
    "clip_txt_mapper": "Stable Cascade",
}  # fmt: skip
"""Kinds of files that are not supported, by a word in the names of their tensors."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Generation:
    """A generation of Stable Diffusion. title: for messages. like: the preset whose steps and scheduler it gets by
    default. scaling: factor of the latents. encoders: prefixes of the names of the text encoders' tensors."""

    title: str
    like: str
    scaling: float
    encoders: tuple[str, ...]


ONE = Generation("Stable Diffusion 1", "sd15-lcm", 0.18215, (CLIP,))
TWO = Generation("Stable Diffusion 2", "sd-turbo", 0.18215, (OPEN_CLIP,))
XL = Generation("Stable Diffusion XL", "sdxl-turbo", 0.13025, (XL_CLIP, XL_OPEN_CLIP))


def recognise(file: Path, shapes: Shapes) -> Generation:
    """The generation of a checkpoint. Raises EngineError, one line, for another kind of file or a missing part."""
    for word, kind in _OTHERS.items():
        if any(word in name for name in shapes):
            raise EngineError(
                f"{file}: is {kind}, and no checkpoint of Stable Diffusion 1, 2 or XL; choose another file"
            )
    if f"{UNET}input_blocks.0.0.weight" not in shapes:
        raise EngineError(f"{file}: is no checkpoint of Stable Diffusion 1, 2 or XL; choose another file")
    channels = shapes[f"{UNET}input_blocks.0.0.weight"][1]
    if channels != 4:
        kind = "for inpainting" if channels == 9 else f"for latents of {channels} channels"
        raise EngineError(f"{file}: is {kind}; choose a checkpoint that draws from a prompt alone")
    for generation in (ONE, TWO, XL):
        if all(any(name.startswith(prefix) for name in shapes) for prefix in generation.encoders):
            if not any(name.startswith(VAE) for name in shapes):
                raise EngineError(f"{file}: has no decoder in it; choose a file with its VAE, which is the larger one")
            return generation
    raise EngineError(f"{file}: has no text encoder in it; choose a whole checkpoint, of 2 GB or more")


def unet_config(generation: Generation, shapes: Shapes) -> dict[str, Any]:
    """The configuration of UNet2DConditionModel."""
    names = {name.removeprefix(UNET): shape for name, shape in shapes.items() if name.startswith(UNET)}
    blocks = _count(names, r"input_blocks\.(\d+)\.")
    down = [number for number in range(blocks) if f"input_blocks.{number}.0.op.weight" in names]
    layers = (down[0] if down else blocks) - 1
    firsts = [1, *(number + 1 for number in down)]
    channels = [names[f"input_blocks.{first}.0.out_layers.3.weight"][0] for first in firsts]
    depths = [_count(names, rf"input_blocks\.{first}\.1\.transformer_blocks\.(\d+)\.") for first in firsts]
    crossed = next(shape for name, shape in names.items() if name.endswith("attn2.to_k.weight"))[1]
    linear = next(len(shape) for name, shape in names.items() if name.endswith("1.proj_in.weight")) == 2
    config: dict[str, Any] = {
        "in_channels": names["input_blocks.0.0.weight"][1],
        "out_channels": names["out.2.weight"][0],
        "sample_size": 64,
        "layers_per_block": layers,
        "block_out_channels": channels,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        "transformer_layers_per_block": [max(depth, 1) for depth in depths],
        "attention_head_dim": 8 if generation is ONE else [max(width // _HEAD, 1) for width in channels],
        "cross_attention_dim": crossed,
        "use_linear_projection": linear,
    }
    if "label_emb.0.0.weight" in names:
        times = (names["label_emb.0.0.weight"][1] - _projection(shapes)) // 6
        config |= {"addition_embed_type": "text_time", "addition_time_embed_dim": times}
        config["projection_class_embeddings_input_dim"] = names["label_emb.0.0.weight"][1]
    return config


def vae_config(generation: Generation, shapes: Shapes) -> dict[str, Any]:
    """The configuration of AutoencoderKL."""
    names = {name.removeprefix(VAE): shape for name, shape in shapes.items() if name.startswith(VAE)}
    blocks = _count(names, r"encoder\.down\.(\d+)\.")
    channels = [names[f"encoder.down.{number}.block.0.conv2.weight"][0] for number in range(blocks)]
    return {
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * blocks,
        "up_block_types": ["UpDecoderBlock2D"] * blocks,
        "layers_per_block": _count(names, r"encoder\.down\.0\.block\.(\d+)\."),
        "latent_channels": names["post_quant_conv.weight"][0],
        "scaling_factor": generation.scaling,
        "force_upcast": True,
    }


def text_config(prefix: str, shapes: Shapes) -> dict[str, Any]:
    """The configuration of transformers' CLIP text encoder. prefix: of its tensors, from `Generation.encoders`."""
    names = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    if prefix in (CLIP, XL_CLIP):
        words = names["text_model.embeddings.token_embedding.weight"]
        positions = names["text_model.embeddings.position_embedding.weight"][0]
        layers = _count(names, r"text_model\.encoder\.layers\.(\d+)\.")
        inner, act = names["text_model.encoder.layers.0.mlp.fc1.weight"][0], "quick_gelu"
    else:
        words, positions = names["token_embedding.weight"], names["positional_embedding"][0]
        layers = _count(names, r"transformer\.resblocks\.(\d+)\.")
        layers = min(layers, _LAST_OF_2) if prefix == OPEN_CLIP else layers
        inner, act = names["transformer.resblocks.0.mlp.c_fc.weight"][0], "gelu"
    config = {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": max(words[1] // _HEAD, 1),
        "max_position_embeddings": positions,
        "hidden_act": act,
        "bos_token_id": words[0] - 2,
        "eos_token_id": words[0] - 1,
        "pad_token_id": words[0] - 1 if prefix == CLIP else 0,
    }
    return config | {"projection_dim": _projection(shapes) if prefix == XL_OPEN_CLIP else words[1]}


def _projection(shapes: Shapes) -> int:
    """Length of the pooled embedding."""
    return shapes[f"{XL_OPEN_CLIP}text_projection"][1]


def _count(names: Iterable[str], pattern: str) -> int:
    """One more than the largest number that a pattern finds at the beginning of names; 0 if it finds none."""
    found = (re.match(pattern, name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)
