"""The trainer runs from words to engine folder, stops, and goes on."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tpos_live.training import autoencoder, ember
from tpos_live.training.critic import Critic, balanced, critic_loss, praise
from tpos_live.training.ember import Plan, Trainer, train_ember
from tpos_live.training.flow import T_MAX, build_unet, one_step
from tpos_live.training.text_encoder import build
from tpos_live.training.whereabouts import FINENESS, Whereabouts, places

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


def test_goes_on_from_an_engine_where_no_run_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ember, "train_text_encoder", _tiny_words)
    out = tmp_path / "engine"
    train_ember(out, 0.0, False, "cpu", 1, None, run=tmp_path / "first", plan=TINY)
    shipped = load_file(out / "unet" / "diffusion_pytorch_model.safetensors")
    found: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(Trainer, "train", lambda self, _seconds: found.append(dict(self.unet.state_dict())))
    train_ember(out, 0.0, True, "cpu", 1, None, run=tmp_path / "second", plan=TINY)
    assert all(torch.equal(found[0][name], value.float()) for name, value in shipped.items())
    again = load_file(out / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(again[name], value) for name, value in shipped.items())


def test_some_rows_start_from_the_own_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the last parts are a mixture of the noise and of what the UNet makes of it; the others stay."""
    monkeypatch.setattr(ember, "train_text_encoder", _tiny_words)
    done: list[bool] = []

    def train(self: Trainer, _seconds: float) -> None:
        pool = self.pools[0]
        pool.renew(4)
        batch = pool.take(4)
        x, t = batch.noise.float().clone(), torch.full((4,), T_MAX)
        self._again(x, t, batch)
        with torch.no_grad():
            own = one_step(self.unet, batch.noise[:1], torch.full((1,), T_MAX), batch.tokens[:1])
        assert 0.15 <= float(t[0]) <= 0.9 and (t[1:] == T_MAX).all()
        assert torch.allclose(x[0], (1 - t[0]) * own[0] + t[0] * batch.noise[0], atol=0.05)
        assert torch.equal(x[1:], batch.noise[1:].float())
        done.append(True)

    monkeypatch.setattr(Trainer, "train", train)
    train_ember(tmp_path / "engine", 0.0, False, "cpu", 1, None, run=tmp_path / "run", plan=TINY)
    assert done


def test_the_last_part_has_a_critic_and_a_learning_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ember, "train_text_encoder", _tiny_words)
    monkeypatch.setattr(ember, "CRITIC_AHEAD", 2)
    seen: list[dict[str, float]] = []

    def train(self: Trainer, _seconds: float) -> None:
        self.small.renew(4)
        for pool in self.pools:
            pool.renew(1)
        seen.extend(self._step(0.99) for _ in range(4))

    monkeypatch.setattr(Trainer, "train", train)
    run = tmp_path / "run"
    train_ember(tmp_path / "engine", 0.0, False, "cpu", 1, None, run=run, plan=TINY)
    assert all({"latent", "place", "pixel", "critic"} <= set(losses) for losses in seen)
    assert all(math.isfinite(value) for losses in seen for value in losses.values())
    assert (run / "critic.safetensors").exists() and (run / "whereabouts.safetensors").exists()
    train_ember(tmp_path / "engine", 0.0, True, "cpu", 1, None, run=run, plan=TINY)


def test_a_critic_learns_to_tell_and_pulls_as_much_as_it_may() -> None:
    torch.manual_seed(0)
    critic, tokens = Critic(width=8, words=16), torch.randn(8, 3, 16)
    optimizer = torch.optim.AdamW(critic.parameters(), lr=3e-3)
    for _ in range(60):
        rough = torch.randn(8, 4, 16, 16)
        loss = critic_loss(critic, torch.nn.functional.avg_pool2d(rough, 3, 1, 1), rough, tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1.2  # 2 is knowing nothing
    drawn = torch.randn(8, 4, 16, 16, requires_grad=True)
    plain = drawn.square().mean()
    (pull,) = torch.autograd.grad(plain, drawn, retain_graph=True)
    whole = balanced(plain, praise(critic, drawn, tokens), drawn, 0.5)
    (both,) = torch.autograd.grad(whole, drawn)
    assert (both - pull).norm().item() == pytest.approx(0.5 * pull.norm().item(), rel=0.01)


def test_a_unet_learns_where_it_is_from_its_borders() -> None:
    torch.manual_seed(0)
    unet = build_unet((16, 32))
    lesson = Whereabouts(unet)
    optimizer = torch.optim.AdamW([*unet.parameters(), *lesson.parameters()], lr=5e-3)
    losses = []
    for _ in range(40):
        unet(torch.randn(2, 4, 8, 8), 999, encoder_hidden_states=torch.randn(2, 3, 128))
        loss = lesson.loss()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]
    assert places(4, 6).shape[1:] == (4, 6) and places(4, 6).abs().max() <= 1


def test_finer_levels_are_asked_for_shorter_waves() -> None:
    asked = [places(32, 32, fine) for fine in range(FINENESS)]
    assert len(asked[0]) < len(asked[1]) < len(asked[2])
    crossings = [(waves.sign().diff(dim=2) != 0).sum((1, 2)).max().item() for waves in asked]
    assert crossings[0] < crossings[1] < crossings[2]
    lesson = Whereabouts(build_unet((16, 32, 48)))
    assert [head.out_channels for head in lesson.heads] == [len(waves) for waves in asked]


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
