"""Small random-weight Stable Diffusion folders of the same classes as real ones, built in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch

Kind = Literal["flow", "sd-turbo"]


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

    flow: Ember-like (Bert text encoder, 24 tokens of 128, rectified flow, three scalars, metadata).
    sd-turbo: CLIP text encoder, 77 tokens of 32, Euler with trailing spacing, epsilon, no metadata.
    scheduler, metadata: replace entries of `scheduler_config.json` and `tpos_live.json`.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    flow = kind == "flow"
    dim = 128 if flow else 32
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
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
    )
    unet.save_pretrained(folder / "unet")
    if vae == "tiny":
        AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            num_encoder_blocks=(1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 0),
        ).save_pretrained(folder / "vae")
    else:
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            norm_num_groups=4,
            latent_channels=4,
            sample_size=64,
        ).save_pretrained(folder / "vae")
    encoder_class, tokenizer_class = _write_text(folder, flow, dim)
    torch.random.set_rng_state(state)

    if flow:
        config: dict[str, object] = {
            "_class_name": "UniPCMultistepScheduler",
            "use_flow_sigmas": True,
            "prediction_type": "flow_prediction",
            "solver_order": 1,
            "steps_offset": 1,
            "num_train_timesteps": 1000,
        }
        description = {
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
        } | (metadata or {})
    else:
        config = {
            "_class_name": "EulerDiscreteScheduler",
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "prediction_type": "epsilon",
            "timestep_spacing": "trailing",
            "steps_offset": 1,
            "num_train_timesteps": 1000,
        }
        description = dict(metadata or {})
    config |= scheduler or {}
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    if description:
        (folder / "tpos_live.json").write_text(json.dumps(description))
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.36.0",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", config["_class_name"]],
        "text_encoder": ["transformers", encoder_class],
        "tokenizer": ["transformers", tokenizer_class],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny" if vae == "tiny" else "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _write_text(folder: Path, flow: bool, dim: int) -> tuple[str, str]:
    """A text encoder and a tokenizer that spells every word; returns their class names."""
    from transformers import BertConfig, BertModel, CLIPTextConfig, CLIPTextModel

    (folder / "tokenizer").mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789")
    if flow:
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters)]
        (folder / "tokenizer" / "vocab.txt").write_text("\n".join(vocabulary))
        settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 24, "do_lower_case": True}
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
    else:
        tokens = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
        (folder / "tokenizer" / "vocab.json").write_text(json.dumps({t: n for n, t in enumerate(tokens)}))
        (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
        settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"}
        settings |= {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
        CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokens),
                hidden_size=dim,
                num_hidden_layers=1,
                num_attention_heads=4,
                intermediate_size=64,
                bos_token_id=len(tokens) - 2,
                eos_token_id=len(tokens) - 1,
                pad_token_id=len(tokens) - 1,
            )
        ).save_pretrained(folder / "text_encoder")
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    return ("BertModel", "BertTokenizer") if flow else ("CLIPTextModel", "CLIPTokenizer")
