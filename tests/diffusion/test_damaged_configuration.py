"""Files of configuration with values of any kind: one line, or an engine that draws; never another error."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import torch

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.errors import EngineError
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

SCHEDULER, UNET, VAE = "scheduler/scheduler_config.json", "unet/config.json", "vae/config.json"
WORDS, TEXT, OWN = "tokenizer/tokenizer_config.json", "text_encoder/config.json", "tpos_live.json"


@pytest.fixture
def copy(flow_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flow_folder, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        (SCHEDULER, "num_train_timesteps", [[]]), (SCHEDULER, "num_train_timesteps", float("inf")),
        (SCHEDULER, "num_train_timesteps", 2**31), (SCHEDULER, "num_train_timesteps", 0),
        (SCHEDULER, "steps_offset", None), (SCHEDULER, "steps_offset", "x"),
        (SCHEDULER, "flow_shift", float("nan")), (SCHEDULER, "disable_corrector", [[]]),
        (UNET, "in_channels", {}), (UNET, "cross_attention_dim", []), (UNET, "addition_embed_type", []),
        (VAE, "latent_channels", [1]), (VAE, "scaling_factor", 0), (VAE, "scaling_factor", "x"),
        (WORDS, "model_max_length", -1), (WORDS, "model_max_length", 1),
        (TEXT, "num_attention_heads", 0), (TEXT, "num_attention_heads", 7),
        (OWN, "size", [10**30, 10**30]), (OWN, "multiple", 2**63), (OWN, "audio_tokens", 10**6),
        (OWN, "scalars", [{"name": "x", "source": "clock", "rate": float("inf")}]),
    ],
)  # fmt: skip
def test_values_of_any_kind_are_refused_in_one_line(copy: Path, file: str, name: str, value: object) -> None:
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(EngineError, match=r"; \w+") as found:
        load_engine(copy, "cpu", lazy=True)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("more", ["\nanother\nword", "\na\na\nb"])
def test_a_tokenizer_of_another_engine_is_refused(copy: Path, more: str) -> None:
    words = copy / "tokenizer" / "vocab.txt"
    words.write_text(words.read_text() + more)
    with pytest.raises(EngineError, match=r"tokenizer: it knows \d+ words, its text encoder \d+; .*again"):
        load_engine(copy, "cpu", lazy=True)


def test_a_tokenizer_that_cannot_be_read_is_one_line(turbo_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(turbo_folder, tmp_path / "copy"))
    (copy / "tokenizer" / "vocab.json").write_text("[1")
    with pytest.raises(EngineError) as found:
        load_engine(copy, "cpu", lazy=True)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        (VAE, "num_decoder_blocks", [10**4] * 4), (VAE, "upsampling_scaling_factor", 1000),
        (UNET, "layers_per_block", 1000), (UNET, "block_out_channels", [16, 10**6]),
        (TEXT, "num_hidden_layers", 2**31), (TEXT, "intermediate_size", 10**6),
    ],
)  # fmt: skip
def test_values_that_a_library_would_take_long_over_are_refused_at_once(
    copy: Path, file: str, name: str, value: object
) -> None:
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    begun = time.process_time()
    with pytest.raises(EngineError, match=rf"{name}|double.*; fetch or install"):
        load_engine(copy, "cpu", lazy=True)
    assert time.process_time() - begun < 2.0


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [(VAE, "upsample_fn", 3), (UNET, "downsample_padding", 1.5), (UNET, "freq_shift", "x"), (UNET, "act_fn", [1])],
)
def test_values_that_fail_only_at_the_first_frame_are_one_line(copy: Path, file: str, name: str, value: object) -> None:
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(EngineError, match=r"copy.*; fetch or install") as found:
        engine = load_engine(copy, "cpu", lazy=True)
        generator = FrameGenerator(engine, (64, 64), "eager")
        tokens = engine.texts.encode("sea")
        tokens = torch.cat([tokens, tokens[-(generator.prompt_length - len(tokens)) :]])
        generator.generate(FrameRequest(FrameParams(), Conditioning(tokens), ParameterStore().snapshot()))
    assert "\n" not in str(found.value)
