"""Files of configuration with values of any kind: one line, or an engine that draws; never another error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.engine import load_engine

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
