"""Single-file checkpoints as Stability's own code writes them: small random networks of the true classes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import torch

Kind = Literal["1", "2", "xl"]
WORDS = 74
"""Tokens in the vocabulary of the tiny engines' CLIP."""


def make_parts(kind: Kind, seed: int = 0) -> dict[str, torch.nn.Module]:
    """The parts of one generation of Stable Diffusion, by the names of their folders."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    down = ("DownBlock2D", "CrossAttnDownBlock2D") if kind == "xl" else ("CrossAttnDownBlock2D", "DownBlock2D")
    up = ("CrossAttnUpBlock2D", "UpBlock2D") if kind == "xl" else ("UpBlock2D", "CrossAttnUpBlock2D")
    channels = (32, 64) if kind == "1" else (64, 128)
    added: dict[str, Any] = {}
    if kind == "xl":
        added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
        added["projection_class_embeddings_input_dim"] = 128 + 6 * 8
        added["transformer_layers_per_block"] = (1, 2)
    parts: dict[str, torch.nn.Module] = {
        "unet": UNet2DConditionModel(
            sample_size=64, block_out_channels=channels, layers_per_block=1 if kind == "xl" else 2,
            down_block_types=down, up_block_types=up, cross_attention_dim={"1": 64, "2": 128, "xl": 192}[kind],
            attention_head_dim=8 if kind == "1" else (1, 2), use_linear_projection=kind != "1", **added,
        ),
        "vae": AutoencoderKL(
            block_out_channels=(32, 32, 32, 64), latent_channels=4, layers_per_block=1,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        "text_encoder": CLIPTextModel(text_config(128 if kind == "2" else 64, "gelu" if kind == "2" else "quick_gelu")),
    }  # fmt: skip
    if kind == "xl":
        parts["text_encoder_2"] = CLIPTextModelWithProjection(text_config(128, "gelu"))
    torch.random.set_rng_state(state)
    return {name: part.eval() for name, part in parts.items()}


def text_config(width: int, act: str) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=WORDS, hidden_size=width, num_hidden_layers=2, num_attention_heads=width // 64,
        intermediate_size=96, projection_dim=128, hidden_act=act, bos_token_id=WORDS - 2, eos_token_id=WORDS - 1,
    )  # fmt: skip


def original(kind: Kind, parts: dict[str, torch.nn.Module]) -> dict[str, torch.Tensor]:
    """Their tensors under Stability's names."""
    from tpos_live.diffusion.model.stability_names import stability_names

    unet = parts["unet"]
    tensors = {
        f"model.diffusion_model.{other}.{end}": weight
        for other, ours in stability_names(unet).items()
        for end, weight in unet.get_submodule(ours).named_parameters(recurse=False)
    }
    tensors |= _decoder(parts["vae"].state_dict())
    if kind == "1":
        return tensors | _clip("cond_stage_model.transformer.", parts["text_encoder"])
    if kind == "2":
        return tensors | _open_clip("cond_stage_model.model.", parts["text_encoder"])
    tensors |= _clip("conditioner.embedders.0.transformer.", parts["text_encoder"])
    return tensors | _open_clip("conditioner.embedders.1.model.", parts["text_encoder_2"])


def write_checkpoint(path: Path, kind: Kind, parts: dict[str, torch.nn.Module]) -> Path:
    from safetensors.torch import save_file

    save_file({name: tensor.detach().contiguous() for name, tensor in original(kind, parts).items()}, path)
    return path


def _decoder(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The autoencoder's, which Stability's code counts upwards from the finest block, and whose attention is made of
    convolutions."""
    named = {}
    words = [
        (r"decoder\.up_blocks\.(\d)", lambda found: f"decoder.up.{3 - int(found[1])}"),
        (r"down_blocks\.(\d)", r"down.\1"), (r"(down|up)(\.\d)\.resnets", r"\1\2.block"),
        (r"downsamplers\.0", "downsample"), (r"upsamplers\.0", "upsample"), ("conv_norm_out", "norm_out"),
        (r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}"),
        (r"mid_block\.attentions\.0", "mid.attn_1"), ("group_norm", "norm"), ("conv_shortcut", "nin_shortcut"),
        (r"to_(q|k|v)\.", r"\1."), (r"to_out\.0", "proj_out"),
    ]  # fmt: skip
    for name, tensor in state.items():
        other = name
        for pattern, by in words:
            other = re.sub(pattern, by, other)  # type: ignore[arg-type]
        if "attn_1" in other and other.endswith("weight") and "norm" not in other:
            tensor = tensor[:, :, None, None]
        named[f"first_stage_model.{other}"] = tensor
    return named


def _bare(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}


def _clip(prefix: str, encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}text_model.{name}": tensor for name, tensor in _bare(encoder).items()}


def _open_clip(prefix: str, encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    state, named = _bare(encoder), {}
    words = {"encoder.layers.": "transformer.resblocks.", "self_attn": "attn", "layer_norm1": "ln_1",
             "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "final_layer_norm": "ln_final",
             "embeddings.token_embedding": "token_embedding"}  # fmt: skip
    for name, tensor in state.items():
        if "k_proj" in name or "v_proj" in name:
            continue
        if "q_proj" in name:
            tensor = torch.cat([state[name.replace("q_proj", each)] for each in ("q_proj", "k_proj", "v_proj")])
            name = name.replace("q_proj.", "in_proj_")
        for ours, theirs in words.items():
            name = name.replace(ours, theirs)
        if name.endswith("position_embedding.weight"):
            name = "positional_embedding"
        if name == "text_projection.weight":
            name, tensor = "text_projection", tensor.T
        named[f"{prefix}{name}"] = tensor
    named.setdefault(
        f"{prefix}text_projection", torch.eye(encoder.config.hidden_size)
    )  # Stable Diffusion 2 has it, unused
    return named
