"""The trainer runs from words to engine folder, stops, and goes on."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from tpos_live.training import autoencoder, ember
from tpos_live.training.ember import Plan, train_ember
from tpos_live.training.text_encoder import build

TINY = Plan(channels=(16, 32), batch=2, capacity=4, renew=1, save=1e9, wide=False, joint=0.5)


def _tiny_words(out: Path, minutes: float, seed: int, device: torch.device) -> float:
    """Stands in for the distillation, which needs MiniLM: an untrained encoder and a tiny vocabulary."""
    from transformers import BertTokenizer

    out.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fire", "ocean"]
    (out / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizer(str(out / "vocab.txt"), model_max_length=24).save_pretrained(out / "tokenizer")
    build(len(words)).save_pretrained(out / "text_encoder")
    return 0.5


def test_trains_resumes_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ember, "train_text_encoder", _tiny_words)
    out, run = tmp_path / "engine", tmp_path / "run"
    train_ember(out, 0.0, False, "cpu", 1, None, run=run, plan=TINY)
    first = json.loads((run / "state.json").read_text(encoding="utf-8"))
    assert first["steps"] >= 1
    assert (out / "model_index.json").exists() and (out / "tpos_live.json").exists()
    assert not list(run.glob("*.part")) and not out.with_name("engine.part").exists()
    assert list((run / "samples").glob("*.png"))
    (out / "README.md").write_text("kept", encoding="utf-8")
    train_ember(out, 0.0, True, "cpu", 1, None, run=run, plan=TINY)
    again = json.loads((run / "state.json").read_text(encoding="utf-8"))
    assert again["steps"] > first["steps"]
    assert (out / "README.md").read_text(encoding="utf-8") == "kept"


def test_picture_loss_is_zero_for_equal_pictures_and_grows_with_blur() -> None:
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    soft = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
    assert autoencoder.picture_loss(picture, picture).item() == 0
    assert autoencoder.picture_loss(soft, picture) > autoencoder.picture_loss(0.9 * picture + 0.1 * soft, picture)


def test_the_autoencoder_learns_something() -> None:
    torch.manual_seed(0)
    random.seed(0)
    vae = autoencoder.build()
    before = [p.clone() for p in vae.parameters()]
    quality = autoencoder.train_autoencoder(vae, 0.0, 1, batch=2)
    assert quality > 0 and any((a != b).any() for a, b in zip(before, vae.parameters(), strict=True))
