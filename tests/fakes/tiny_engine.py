"""Small random-weight Stable Diffusion folders of the same classes as real ones, built in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch

Kind = Literal["flow", "sd-turbo", "sdxl"]

POOLED = 20
"""Pooled numbers of the kind "sdxl"."""
_LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789")
_FLOW: dict[str, object] = {
    "_class_name": "UniPCMultistepScheduler",
    "use_flow_sigmas": True,
    "prediction_type": "flow_prediction",
    "solver_order": 1,
    "steps_offset": 1,
    "num_train_timesteps": 1000,
}
_EULER: dict[str, object] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
    "num_train_timesteps": 1000,
}
_DESCRIPTION: dict[str, object] = {
    "name": "Tiny flow",
    "licence": "Apache-2.0",
    "size": [64, 64],
    "multiple": 32,
    "guidance": False,
    "scalars": [
        {"name": "intensity", "source": "intensity"},
        {"name": "palette", "source": "seed", "rate": 0.02, "cyclic": True},
        {"name": "horizon", "source": "seed", "rate": 0.02},
        {"name": "phase", "source": "clock", "rate": 0.1, "cyclic": True},
    ],
}


def make_tiny_engine(
    folder: Path,
    kind: Kind = "flow",
    *,
    vae: Literal["tiny", "kl"] = "tiny",
    scheduler: dict[str, object] | None = None,
    metadata: dict[str, object] | None = None,
    seed: int = 0,
) -> Path:
    """Write an engine folder and return it.

    flow: Ember-like (Bert text encoder, 24 tokens of 128, rectified flow, four scalars, metadata).
    sd-turbo: CLIP text encoder, 77 tokens of 32, Euler with trailing spacing, epsilon, no metadata.
    sdxl: as sd-turbo with two CLIP text encoders of 16 and 24, and 20 pooled numbers for the UNet.
    scheduler, metadata: replace entries of `scheduler_config.json` and `tpos_live.json`.
    """
    dim = {"flow": 128, "sd-turbo": 32, "sdxl": 40}[kind]
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    _write_unet(folder / "unet", dim, pooled=kind == "sdxl")
    _write_vae(folder / "vae", vae, 0.13025 if kind == "sdxl" else 0.18215)
    if kind == "sdxl":
        text = _write_clip(folder, "", 16, 2) | _write_clip(folder, "_2", 24, 2, POOLED)
    else:
        text = _write_bert(folder, dim) if kind == "flow" else _write_clip(folder, "", dim, 1)
    torch.random.set_rng_state(state)

    config = (_FLOW if kind == "flow" else _EULER) | (scheduler or {})
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    if description := (_DESCRIPTION if kind == "flow" else {}) | (metadata or {}):
        (folder / "tpos_live.json").write_text(json.dumps(description))
    index = {
        "_class_name": "StableDiffusionXLPipeline" if kind == "sdxl" else "StableDiffusionPipeline",
        "_diffusers_version": "0.36.0",
        "feature_extractor": [None, None],
        "scheduler": ["diffusers", config["_class_name"]],
        **text,
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny" if vae == "tiny" else "AutoencoderKL"],
    }
    if kind == "sdxl":
        index |= {"force_zeros_for_empty_prompt": True, "image_encoder": [None, None]}
    else:
        index |= {"requires_safety_checker": False, "safety_checker": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def make_least_engine(folder: Path) -> Path:
    """Write an engine folder of the least that has a residual block, an attention to the tokens and a decoder: a kernel
    that is not there is not compiled."""
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    make_tiny_engine(folder, "sd-turbo", metadata={"multiple": 8, "size": [16, 16], "guidance": False})
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8, block_out_channels=(16,), layers_per_block=0, norm_num_groups=8, cross_attention_dim=32,
        attention_head_dim=2, mid_block_type=None, down_block_types=("DownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
    ).save_pretrained(folder / "unet")  # fmt: skip
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 0),
    ).save_pretrained(folder / "vae")  # fmt: skip
    return folder


def _write_unet(folder: Path, dim: int, pooled: bool) -> None:
    """A UNet of two levels for tokens of `dim`. pooled: with the inputs of SDXL."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "use_linear_projection": True}
    added |= {"projection_class_embeddings_input_dim": POOLED + 6 * 8}
    UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=dim,
        attention_head_dim=2,
        **(added if pooled else {}),
    ).save_pretrained(folder)


def _write_vae(folder: Path, kind: Literal["tiny", "kl"], scaling_factor: float) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    if kind == "tiny":
        AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            num_encoder_blocks=(1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 0),
        ).save_pretrained(folder)
    else:
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            norm_num_groups=4,
            latent_channels=4,
            sample_size=64,
            scaling_factor=scaling_factor,
        ).save_pretrained(folder)


def _write_bert(folder: Path, dim: int) -> dict[str, object]:
    """A text encoder and a tokenizer that spells every word; their entries of the index."""
    from transformers import BertConfig, BertModel

    (folder / "tokenizer").mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_LETTERS, *("##" + c for c in _LETTERS)]
    (folder / "tokenizer" / "vocab.txt").write_text("\n".join(vocabulary))
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 24, "do_lower_case": True}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=dim,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=24,
        )
    ).save_pretrained(folder / "text_encoder")
    return {"text_encoder": ["transformers", "BertModel"], "tokenizer": ["transformers", "BertTokenizer"]}


def _write_clip(folder: Path, suffix: str, dim: int, layers: int, projection: int = 0) -> dict[str, object]:
    """The same of CLIP. suffix: of the folders. projection: with one to so many; it then pads with another token."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    place = folder / f"tokenizer{suffix}"
    place.mkdir(parents=True, exist_ok=True)
    tokens = [*_LETTERS, *(c + "</w>" for c in _LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (place / "vocab.json").write_text(json.dumps({t: n for n, t in enumerate(tokens)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}
    settings |= {"pad_token": "a" if projection else "<|endoftext|>", "unk_token": "<|endoftext|>"}
    settings |= {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    cls = CLIPTextModelWithProjection if projection else CLIPTextModel
    cls(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=dim,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=64,
            bos_token_id=len(tokens) - 2,
            eos_token_id=len(tokens) - 1,
            pad_token_id=0 if projection else len(tokens) - 1,
            **({"projection_dim": projection} if projection else {}),
        )
    ).save_pretrained(folder / f"text_encoder{suffix}")
    return {
        f"text_encoder{suffix}": ["transformers", cls.__name__],
        f"tokenizer{suffix}": ["transformers", "CLIPTokenizer"],
    }


def make_paired_engine(folder: Path, seed: int = 0) -> Path:
    """As Ember 2: extra inputs for its UNet, two prompts in one pass, pixel shuffle, 16 pixels a position."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from tpos_live.diffusion.model.pixel_shuffle_vae import AutoencoderPixelShuffle
    from tpos_live.diffusion.model.unet_inputs import VECTORS, extra_channels

    scalars = [
        {"name": "intensity", "source": "intensity"},
        {"name": "hue", "source": "seed", "rate": 0.02, "cyclic": True},
        {"name": "share", "source": "share"},
    ]
    given = {"packing": 2, "fields": 1, "blurs": [1.0, [2.0, 0.5]]}
    description = {"name": "Tiny pairs", "size": [64, 64], "multiple": 32, "guidance": False, "scalars": scalars}
    make_tiny_engine(
        folder, "flow", metadata={**description, "unet_inputs": given}, scheduler={"prediction_type": "sample"}
    )
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    UNet2DConditionModel(
        sample_size=4, in_channels=8 + extra_channels(1, (1.0, (2.0, 0.5))), out_channels=8,
        block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8,
        cross_attention_dim=128, attention_head_dim=2,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
        mid_block_type="UNetMidBlock2DCrossAttn", resnet_time_scale_shift="scale_shift",
        class_embed_type="projection", projection_class_embeddings_input_dim=VECTORS * 128,
    ).save_pretrained(folder / "unet")  # fmt: skip
    for name in (folder / "vae").iterdir():
        name.unlink()
    AutoencoderPixelShuffle(latent_channels=8, decoder_channels=(16, 8, 8), decoder_blocks=(1, 1, 1)).save_pretrained(
        folder / "vae"
    )
    torch.random.set_rng_state(state)
    index = json.loads((folder / "model_index.json").read_text())
    index["vae"] = ["tpos_live", "AutoencoderPixelShuffle"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
