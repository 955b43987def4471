"""The parts of an engine of two text encoders: what is missing, does not fit, or is merged into them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from fakes.tiny_engine import POOLED
from safetensors.torch import save_file

from tpos_live.conditioning.projection import states_hash
from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.engine import Engine, load_engine


@pytest.fixture
def copy(xl_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(xl_folder, tmp_path / "engine"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("part", ["text_encoder_2", "tokenizer_2"])
def test_a_missing_second_part(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(EngineError, match=f"{part} is missing.*again"):
        load_engine(copy, "cpu")


def test_what_cannot_be_drawn_is_one_line(copy: Path) -> None:
    def refused(word: str) -> None:
        with pytest.raises(EngineError, match=word) as caught:
            load_engine(copy, "cpu", lazy=True)
        assert "\n" not in str(caught.value)

    next((copy / "text_encoder_2").glob("*.safetensors")).rename(copy / "hidden")
    refused("text_encoder_2: no safetensors")
    (copy / "hidden").rename(copy / "text_encoder_2" / "model.safetensors")
    edit(copy / "unet" / "config.json", projection_class_embeddings_input_dim=POOLED + 5 * 8)
    refused("pooled numbers.*refiner")
    edit(copy / "unet" / "config.json", projection_class_embeddings_input_dim=POOLED + 6 * 8, cross_attention_dim=32)
    refused("tokens of 40, the unet wants 32.*different engines")
    edit(copy / "unet" / "config.json", cross_attention_dim=40, addition_embed_type="image")
    refused("image embeddings; choose")
    edit(copy / "unet" / "config.json", addition_embed_type="text_time")
    edit(copy / "vae" / "config.json", latents_mean=[0.1, 0.2, 0.3, 0.4])
    refused("moves latents to a mean")
    edit(copy / "vae" / "config.json", latents_mean=None)
    edit(copy / "model_index.json", text_encoder_2=["transformers", "CLIPTextModel"])
    refused("text_encoder_2 is a CLIPTextModel; engines need CLIPTextModelWithProjection")
    edit(copy / "model_index.json", text_encoder_2=["transformers", "CLIPTextModelWithProjection"])
    assert load_engine(copy, "cpu").text_tokens == 78


def test_a_lora_reaches_both_text_encoders(copy: Path, xl: Engine) -> None:
    tensors = {}
    for number, width in ((1, 16), (2, 24)):
        name = f"lora_te{number}_text_model_encoder_layers_0_self_attn_q_proj"
        tensors |= {f"{name}.lora_down.weight": torch.ones(1, width), f"{name}.lora_up.weight": torch.ones(width, 1)}
    save_file(tensors, copy / "style.safetensors")
    edit(copy / "tpos_live.json", loras=[{"file": "style.safetensors", "weight": 0.5}])
    merged = load_engine(copy, "cpu")
    for mine, theirs in zip(merged.texts.modules.values(), xl.texts.modules.values(), strict=True):
        found = dict(theirs.named_parameters())
        name, weight = next((n, w) for n, w in found.items() if n.endswith("layers.0.self_attn.q_proj.weight"))
        assert torch.allclose(dict(mine.named_parameters())[name], weight + 0.5)
    assert not torch.allclose(merged.texts.encode("sea"), xl.texts.encode("sea"))


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("lora_unet_input_blocks_9_1_transformer_blocks_0_attn1_to_q", "another architecture"),
        ("lora_unet_down_blocks_9_attentions_0_proj_in", "another architecture"),
        ("lora_te2_text_model_encoder_layers_7_mlp_fc1", "another architecture"),
        ("lora_te3_text_model_encoder_layers_0_mlp_fc1", "not of a LoRA"),
    ],
)
def test_a_lora_that_does_not_fit_is_one_line(copy: Path, key: str, word: str) -> None:
    save_file({f"{key}.lora_{end}.weight": torch.ones(1, 1) for end in ("down", "up")}, copy / "style.safetensors")
    edit(copy / "tpos_live.json", loras=[{"file": "style.safetensors"}])
    with pytest.raises(EngineError, match=word) as caught:
        load_engine(copy, "cpu")
    assert "\n" not in str(caught.value) and "style.safetensors" in str(caught.value)


def test_a_mapping_belongs_to_both_text_encoders(copy: Path) -> None:
    before = states_hash(copy)
    edit(copy / "text_encoder_2" / "config.json", note="another one")
    assert states_hash(copy) != before


def test_half_a_surrogate_pair_is_read_as_a_question_mark(flow: Engine, turbo: Engine) -> None:
    for engine in (flow, turbo):
        assert engine.texts.encode("sea \udcff").equal(engine.texts.encode("sea ?"))
        assert engine.texts.sentences(["\ud800"]).isfinite().all()
