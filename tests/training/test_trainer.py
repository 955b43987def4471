"""The trainer runs from words to engine folder, stops, and goes on."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from click.testing import CliRunner
from fakes.tiny_engine import make_tiny_engine
from safetensors.torch import load_file

from tpos_live.cli.main import cli
from tpos_live.core.paths import shipped
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.region_blend import shares
from tpos_live.diffusion.sampling.unet_tokens import paired
from tpos_live.training.image_model import autoencoder, dataset
from tpos_live.training.image_model import train as ember
from tpos_live.training.image_model.dataset import LAYOUT, Pool, Renderer, RenderProcess, Words
from tpos_live.training.image_model.recipe import Recipe, draw
from tpos_live.training.image_model.rectified_flow import T_MAX, one_step
from tpos_live.training.image_model.train import Plan, Trainer, train_ember
from tpos_live.training.text.text_encoder import DIM, build

TINY = Plan(
    channels=(16, 32),
    batch=2,
    capacity=4,
    save=1e9,
    joint=0.5,
    sizes=((1.0, 8, 8),),
    families=("fire", "ocean", "clouds"),
    render_process=False,
)


def _tiny_words(out: Path, minutes: float, seed: int, device: torch.device) -> float:
    """Stands in for the distillation, which needs MiniLM: an untrained encoder and a tiny vocabulary."""
    from transformers import BertTokenizer

    out.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fire", "ocean"]
    (out / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizer(str(out / "vocab.txt"), model_max_length=24).save_pretrained(out / "tokenizer")
    build(len(words)).save_pretrained(out / "text_encoder")
    return 0.5


@pytest.fixture(scope="module")
def trained() -> tuple[Any, float]:
    """An autoencoder after its shortest training, and its quality; not modified."""
    return autoencoder.train_autoencoder(0.0, 1, torch.device("cpu"), batch=2)


@pytest.fixture
def unet_alone(trained: tuple[Any, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Training begins with the UNet: text encoder and autoencoder are there."""
    monkeypatch.setattr(ember, "train_text_encoder", _tiny_words)
    monkeypatch.setattr(autoencoder, "train_autoencoder", lambda *_: trained)


@pytest.mark.slow
def test_trains_resumes_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ember, "train_text_encoder", _tiny_words)
    out, run = tmp_path / "engine", tmp_path / "run"
    train_ember(out, 0.0, False, "cpu", 1, 1, run=run, plan=TINY)
    first = json.loads((run / "state.json").read_text(encoding="utf-8"))
    assert first["steps"] >= 1
    assert (out / "model_index.json").exists() and (out / "tpos_live.json").exists()
    assert not list(run.glob("*.part*")) and not out.with_name("engine.part").exists()
    assert list((run / "samples").glob("*.png"))
    (out / "README.md").write_text("kept", encoding="utf-8")
    train_ember(out, 0.0, True, "cpu", 1, 1, run=run, plan=TINY)
    again = json.loads((run / "state.json").read_text(encoding="utf-8"))
    assert again["steps"] > first["steps"]
    assert (out / "README.md").read_text(encoding="utf-8") == "kept"


@pytest.mark.slow
@pytest.mark.usefixtures("unet_alone")
def test_goes_on_from_an_engine_where_no_run_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "engine"
    train_ember(out, 0.0, False, "cpu", 1, 1, run=tmp_path / "first", plan=TINY)
    shipped = load_file(out / "unet" / "diffusion_pytorch_model.safetensors")
    found: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(Trainer, "train", lambda self, *_: found.append(dict(self.unet.state_dict())))
    train_ember(out, 0.0, True, "cpu", 1, 1, run=tmp_path / "second", plan=TINY)
    assert all(torch.equal(found[0][f"unet.{name}"], value.float()) for name, value in shipped.items())
    again = load_file(out / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(again[name], value) for name, value in shipped.items())


def test_weights_of_the_older_network_are_refused(tmp_path: Path) -> None:
    old = make_tiny_engine(tmp_path / "engine", "flow")
    with pytest.raises(RuntimeError, match="older network"):
        train_ember(old, 0.0, True, "cpu", 1, 1, run=tmp_path / "run", plan=TINY)
    assert not (tmp_path / "run" / "unet.safetensors").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unet_alone")
def test_a_part_of_a_longer_training_keeps_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lessons of the end come at the end of all calls, not of each; the losses are read now and then."""
    seen: list[float] = []

    def step(self: Trainer, part: float, process: object) -> dict[str, torch.Tensor]:
        seen.append(part)
        return {"latent": torch.tensor(0.5)}

    monkeypatch.setattr(Trainer, "_step", step)
    plan = replace(TINY, log_every=2)
    train_ember(tmp_path / "engine", 0.0, False, "cpu", 1, 1, run=tmp_path / "run", plan=plan, of=10.0)
    assert seen and max(seen) < 0.01
    seen.clear()
    train_ember(tmp_path / "engine", 0.0, True, "cpu", 1, 1, run=tmp_path / "run", plan=plan)
    assert max(seen) > 0.5


@pytest.mark.usefixtures("unet_alone")
def test_a_training_whose_error_is_no_number_ends_and_its_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a card trains for its whole time, and nobody sees it before the end."""
    out, run = tmp_path / "engine", tmp_path / "run"
    train_ember(out, 0.0, False, "cpu", 1, 1, run=run, plan=TINY)
    kept = {path: path.read_bytes() for path in (*run.glob("*.safetensors"), *out.rglob("*.safetensors"))}
    trained = Trainer.train

    def spoil(self: Trainer, *time: float) -> None:
        next(iter(self.unet.parameters())).data.fill_(math.nan)
        trained(self, *time)

    monkeypatch.setattr(Trainer, "train", spoil)
    with pytest.raises(RuntimeError, match="its error of latent is not a number"):
        train_ember(out, 0.0, True, "cpu", 1, 1, run=run, plan=TINY)
    with pytest.raises(RuntimeError, match="its error of weights is not a number"):  # after the last reading
        train_ember(out, 0.0, True, "cpu", 1, 1, run=run, plan=replace(TINY, log_every=1000))
    assert kept and all(path.read_bytes() == held for path, held in kept.items())


@pytest.mark.usefixtures("unet_alone")
def test_families_and_batch_go_before_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Plan] = []
    monkeypatch.setattr(Trainer, "train", lambda self, *_: found.append(self.plan))
    train_ember(
        tmp_path / "engine", 0.0, False, "cpu", 1, 1, run=tmp_path / "run", plan=TINY, families=("fire", "fog"),
        often=("fog",), batch=3,
    )  # fmt: skip
    assert (found[0].families, found[0].often, found[0].batch) == (("fire", "fog"), ("fog",), 3)
    for wrong in ("fire", "fire,no such"):
        result = CliRunner().invoke(cli, ["train", "ember", "--families", wrong])
        assert result.exit_code == 2 and "--families wants two or more of fire, ocean" in result.output
    result = CliRunner().invoke(cli, ["train", "ember", "--families", "fire,fog", "--often", "snow,fog"])
    assert result.exit_code == 2 and "--often wants families that are trained; not snow" in result.output


@pytest.mark.usefixtures("unet_alone")
def test_some_rows_start_from_the_own_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the last parts are a mixture of the noise and of what the UNet makes of it; the others stay."""
    done: list[bool] = []

    def train(self: Trainer, *_: object) -> None:
        pool = self.pools[0]
        pool.add(self.renderers[0].make(4))
        batch = pool.take(4)
        x, t = batch.noise.float().clone(), torch.full((4,), T_MAX)
        self._start_from_own_step(x, t, batch)
        with torch.no_grad():
            own = one_step(self.unet, batch.noise[:1], torch.full((1,), T_MAX), batch.tokens[:1])
        assert 0.15 <= float(t[0]) <= 0.9 and (t[1:] == T_MAX).all()
        assert torch.allclose(x[0], (1 - t[0]) * own[0] + t[0] * batch.noise[0], atol=0.05)
        assert torch.equal(x[1:], batch.noise[1:].float())
        done.append(True)

    monkeypatch.setattr(Trainer, "train", train)
    train_ember(tmp_path / "engine", 0.0, False, "cpu", 1, 1, run=tmp_path / "run", plan=TINY)
    assert done


@pytest.mark.usefixtures("unet_alone")
def test_in_the_last_part_the_decoder_learns_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, float]] = []
    decoders: list[torch.Tensor] = []

    def train(self: Trainer, *_: object) -> None:
        decoders.append(self.vae.decoder.network[0].weight.detach().clone())
        seen.extend(self._step(0.99, None) for _ in range(4))
        decoders.append(self.vae.decoder.network[0].weight.detach().clone())

    monkeypatch.setattr(Trainer, "train", train)
    for resume in (False, True):
        train_ember(tmp_path / "engine", 0.0, resume, "cpu", 1, 1, run=tmp_path / "run", plan=TINY)
    assert all({"latent", "pixel"} == set(losses) for losses in seen)
    assert all(math.isfinite(value) for losses in seen for value in losses.values())
    first, learned, again, more = decoders
    assert torch.equal(learned, again) and not torch.equal(first, learned) and not torch.equal(again, more)


def test_image_loss_is_zero_for_equal_images_and_grows_with_blur() -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    soft = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    assert autoencoder.image_loss(image, image).item() == 0
    assert autoencoder.image_loss(soft, image) > autoencoder.image_loss(0.9 * image + 0.1 * soft, image)


def test_the_autoencoder_keeps_what_its_components_can_and_learns_the_rest() -> None:
    made = Renderer((32, 32), 5, ("clouds", "nebula")).make(6)
    vae = autoencoder.build(made.image)
    want = made.image.float() / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(want)
        matrix = vae.decoder.shuffle(vae.decoder.matrix(latents))
        whole = vae.decode(latents)[0]
    spread = latents.flatten(2).permute(1, 0, 2).flatten(1)
    torch.testing.assert_close(spread.mean(1), torch.zeros(32), atol=1e-2, rtol=0)
    torch.testing.assert_close(spread.std(1), torch.ones(32), atol=2e-2, rtol=0)
    errors = torch.nn.functional.pixel_unshuffle(want - matrix, 16)
    assert errors.square().mean() < 0.02 * want.var()
    assert (whole - matrix).abs().mean() < 0.1 * want.std()  # the network begins almost silent
    weights = autoencoder.channel_weights(vae)
    assert weights.mean().item() == pytest.approx(1.0) and weights[0] > weights[-1]


def test_the_decoder_is_trained(trained: tuple[Any, float]) -> None:
    vae, quality = trained
    assert quality > 15 and not vae.training


def test_another_process_renders_what_this_one_would() -> None:
    with RenderProcess([(1.0, Renderer((8, 8), 3, ("fire", "ocean")))], seed=0, count=2) as process:
        found = process.take(wait=True)
    assert found is not None and found[0] == 0
    mine = Renderer((8, 8), 3, ("fire", "ocean")).make(2)
    assert torch.equal(found[1].noise, mine.noise) and found[1].recipes == mine.recipes
    assert (found[1].image.int() - mine.image.int()).abs().max() <= 1


def test_a_rendering_process_ends_with_its_parent(tmp_path: Path) -> None:
    lines = [
        "import sys",
        "from tpos_live.training.image_model.dataset import Renderer, RenderProcess",
        "if __name__ == '__main__':",
        "    with RenderProcess([(1.0, Renderer((8, 8), 3, ('fire', 'ocean')))], seed=0, ahead=1) as process:",
        "        process.take(wait=True)",
        "        print(process._process.pid, flush=True)",
        "        sys.stdin.read()",
    ]
    (tmp_path / "parent.py").write_text("\n".join(lines))
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    child.wait(timeout=30)


def test_a_rendering_process_that_died_is_told() -> None:
    broken = [(1.0, Renderer((8, 8), 3, ("no such family", "fire")))]
    with RenderProcess(broken, seed=0) as process, pytest.raises(RuntimeError, match="rendering process ended"):
        process.take(wait=True)


def test_a_pool_keeps_the_newest_and_counts_what_it_serves(tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BertModel

    _tiny_words(tmp_path, 0.0, 0, torch.device("cpu"))
    encoder = BertModel.from_pretrained(tmp_path / "text_encoder")
    words = Words(encoder, AutoTokenizer.from_pretrained(tmp_path / "tokenizer"))
    renderer = Renderer((8, 8), 1, ("fire", "ocean"))
    pool = Pool(words, autoencoder.build(Renderer((32, 32), 2, ("fire", "ocean")).make(2).image), (8, 8), 5, 0)
    first, second = renderer.make(3), renderer.make(4)
    pool.add(first)
    pool.add(second)
    assert (pool.filled, pool.added, pool.served) == (5, 7, 0)
    kept = {tuple(row.flatten()[:4].tolist()) for row in pool.noise}
    assert kept == {tuple(row.flatten()[:4].tolist()) for row in [*first.noise[2:], *second.noise]}
    batch = pool.take(3)
    assert batch.noise.shape == (3, 32, 4, 4) and batch.latents.shape == (3, 32, 4, 4)
    assert batch.image.shape == (3, 3, 64, 64) and batch.tokens.shape[1] == LAYOUT.rows and pool.served == 3


def test_a_second_scene_stands_in_rows_of_its_own() -> None:
    one = Recipe("fire", texts=("fire",), scalars=(0.2, 0.3, 0.4))
    two = Recipe("fire", second="ocean", share=0.7, texts=("fire", "ocean"), scalars=(0.2, 0.3, 0.4))
    both = Recipe("fire", second="ocean", share=0.5, texts=("fire and ocean",), scalars=(0.2, 0.3, 0.4))
    words = Words(None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            dataset, "encode", lambda _e, _t, texts: torch.tensor([[[float(len(t))] * DIM] * 24 for t in texts])
        )
        rows = words.tokens([one, two, both])
    at = LAYOUT.second
    assert rows.shape == (3, LAYOUT.rows, DIM)
    assert (rows[0, at:] == 0).all() and (rows[2, at:] == 0).all() and (rows[1, at:] == 5).all()
    share = rows[:, at - 1]
    assert torch.equal(share[0], share[2]) and not torch.equal(share[0], share[1])


def test_images_of_a_fade_are_told_as_the_render_loop_tells_them() -> None:
    """Most images with two prompts: what stands in both places and the share come from the fade's weight."""
    rng = random.Random(3)
    drawn = [draw(rng, ("fire", "ocean")) for _ in range(800)]
    fades = [recipe for recipe in drawn if recipe.weight is not None]
    assert len(drawn) / 5 < len(fades) < len(drawn) / 2.5 and any(recipe.second == recipe.family for recipe in fades)
    for recipe in fades:
        assert recipe.share == shares([1 - recipe.weight, recipe.weight])[1] and len(recipe.texts) == 2
    recipe = Recipe("fire", second="ocean", share=0.97, texts=("fire", "ocean"), weight=0.9)
    words = Words(None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            dataset, "encode", lambda _e, _t, texts: torch.tensor([[[float(len(t))] * DIM] * 24 for t in texts])
        )
        rows = words.tokens([recipe])[0]
    first, second, share = paired(torch.full((24, DIM), 4.0), torch.full((24, DIM), 5.0), 0.9)
    assert torch.equal(rows[:24], first) and torch.equal(rows[LAYOUT.second :], second) and 0 < share < 0.97


def test_the_grid_loss_sees_a_grid_and_no_detail() -> None:
    generator = torch.Generator().manual_seed(2)
    render = torch.rand(4, 3, 192, 320, generator=generator)
    soft = torch.nn.functional.avg_pool2d(render, 9, 1, 4)
    y, x = torch.meshgrid(torch.arange(192) // 16, torch.arange(320) // 16, indexing="ij")
    grid = 0.05 * ((x + y) % 2).float()
    assert autoencoder.grid_loss(soft, render) < 0.1 * autoencoder.grid_loss(soft + grid, render)
    assert autoencoder.grid_loss(render + grid, render + grid) == 0  # a render's own grid is no fault
    drawn = (soft + grid).requires_grad_()
    (pull,) = torch.autograd.grad(autoencoder.grid_loss(drawn, render), drawn)
    assert (pull * grid).sum() > 0  # it pulls the grid down ...
    before, after = (image.detach().diff(dim=3).abs()[..., 4:12].mean() for image in (drawn, drawn - pull))
    assert after <= 1.001 * before  # ... and does not hide it behind steps elsewhere


def test_the_decoder_alone_is_trained_in_its_folder(tmp_path: Path) -> None:
    from tpos_live.training.image_model.decoder import train_decoder

    folder = tmp_path / "ember"
    shutil.copytree(shipped("engines") / "ember", folder)
    before = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    train_decoder(folder, 0.02)
    after = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    assert before.keys() == after.keys() and torch.equal(before["encoder.weight"], after["encoder.weight"])
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    load_engine(folder, "cpu")
