"""The BERT of torch's own layers gives the states of transformers', and a start does not import transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.bert import load_bert
from tpos_live.diffusion.model.engine import load_engine

EMBER = Path(__file__).parents[2] / "engines" / "ember"
ODD = "Éclair über ﬁre\u200b 🦄" + "y" * 3000
TEXTS = ["", "a", "neon jellyfish, in the deep sea!", "日本語 テキスト", "x " * 100, ODD]


@pytest.mark.parametrize("shipped", [True, False])
@pytest.mark.parametrize("padding", ["max_length", "longest"])
def test_states_are_those_of_transformers(flow_folder: Path, shipped: bool, padding: str) -> None:
    from transformers import AutoTokenizer, BertModel

    folder = EMBER if shipped else flow_folder
    ours = load_bert(folder, "text_encoder", "tokenizer")
    theirs = BertModel.from_pretrained(folder / "text_encoder").float().eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    told = tokenizer(TEXTS, padding=padding, max_length=ours.words, truncation=True, return_tensors="pt")
    masked = getattr(theirs.config, "use_attention_mask", False)
    with torch.inference_mode():
        want = theirs(told.input_ids, attention_mask=told.attention_mask if masked else None)[0]
        have = ours.read(TEXTS, padding, ours.words, torch.device("cpu"))[0]
    assert have.shape == want.shape and torch.allclose(have, want, atol=1e-5)


def test_an_engine_is_read_without_transformers(flow_folder: Path) -> None:
    code = (
        "import sys, pathlib; from tpos_live.diffusion.model.engine import load_engine;"
        "load_engine(pathlib.Path(sys.argv[1]), 'cpu', lazy=True).texts.encode('sea');"
        "print([name for name in ('transformers', 'diffusers', 'scipy') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code, str(flow_folder)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.fixture
def copy(flow_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flow_folder, tmp_path / "engine"))


def test_damage_is_one_line(copy: Path) -> None:
    def refused(word: str) -> None:
        with pytest.raises(EngineError, match=word) as caught:
            load_engine(copy, "cpu", lazy=True)
        assert "\n" not in str(caught.value)

    config, weights = copy / "text_encoder" / "config.json", copy / "text_encoder" / "model.safetensors"
    whole, tensors = config.read_text(), load_file(weights)
    config.write_text(json.dumps({**json.loads(whole), "hidden_act": "relu"}))
    refused("text_encoder: cannot be loaded.*another kind.*again")
    config.write_text(json.dumps({key: value for key, value in json.loads(whole).items() if key != "hidden_size"}))
    refused("lacks hidden_size")
    config.write_text(json.dumps({**json.loads(whole), "intermediate_size": 65}))
    refused("cannot be loaded")
    config.write_text(whole)
    save_file({key: value for key, value in tensors.items() if "query" not in key}, weights)
    refused("query.* is missing; fetch")
    save_file({key: value * float("inf") for key, value in tensors.items()}, weights)
    refused("is damaged")
    save_file(tensors, weights)
    (copy / "tokenizer" / "tokenizer.json").write_text("{}")
    refused("tokenizer: cannot be loaded.*again")
    (copy / "tokenizer" / "tokenizer.json").unlink()
    assert load_engine(copy, "cpu", lazy=True).texts.encode("sea").shape == (24, 128)
