"""The audio encoder's training: net and stage agree, sounds are what they say, data is checked, a run goes through."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tpos_live.audio_encoder.checkpoint import read_encoder, read_metadata
from tpos_live.audio_encoder.streaming import Layout, TposEncoder
from tpos_live.core.paths import shipped
from tpos_live.training.audio_model.clips import Clip, log_mel, made_clips, read_clips
from tpos_live.training.audio_model.net import EncoderNet, prefix_hops
from tpos_live.training.audio_model.stream_dataset import Streams
from tpos_live.training.audio_model.train import train_encoder
from tpos_live.training.audio_model.trainer import EncoderPlan
from tpos_live.training.errors import DataError
from tpos_live.training.synth import sound_effects
from tpos_live.training.synth.synth import loudness

RATE = 48_000
TINY = Layout(channels=(4, 6), width=16, query=4, memory=40)
PREFIX_HOPS = prefix_hops(TINY)


def shaken(layout: Layout, seed: int = 0, paper: bool = False, even: bool = True) -> EncoderNet:
    """A net whose normalisations have seen something, as after training."""
    torch.manual_seed(seed)
    net = EncoderNet(layout, paper, even)
    for norm in [*net.norms, net.segment_norm]:
        norm.running_mean.normal_(0, 0.2)
        norm.running_var.uniform_(0.3, 2)
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize(
    "parts", [{}, {"lstm": False}, {"attention": False}, {"level": False}, {"paper": True}, {"even": False}]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_streaming_encoder_equals_the_trained_net(parts: dict[str, bool], seed: int) -> None:
    """Both readings of the stream, over a random prefix, within 1e-5 of the whole in one go."""
    paper, even = parts.get("paper", False), parts.get("even", True)
    layout = Layout(**{**TINY.__dict__, **{part: on for part, on in parts.items() if part in TINY.__dict__}})
    net = shaken(layout, seed, paper, even)
    stage = TposEncoder(layout, {name: value.numpy() for name, value in net.export().items()})
    rng = np.random.default_rng(seed)
    heard = (0.1 * rng.standard_normal(int(rng.integers(2 * RATE, 4 * RATE)))).astype(np.float32)
    mel, meanings = log_mel(heard), stage.push(heard)
    for first in (4, 2):
        steps = (len(mel) - first) // 4 + 1
        silence = np.full((PREFIX_HOPS + 4 - first, mel.shape[1]), -100, np.float32)
        whole = torch.from_numpy(np.concatenate([silence, mel])[: PREFIX_HOPS + 4 * steps])
        with torch.no_grad():
            told, _ = net(whole[None], net.start(1))
        mine = [m for m in meanings if round(100 * m.time) % 4 == first % 4][:steps]
        assert len(mine) == steps
        meaning = torch.nn.functional.normalize(told.meaning[0], dim=-1).numpy()
        assert np.abs(np.array([m.vector for m in mine]) - meaning).max() < 1e-5
        assert np.abs(np.array([m.density for m in mine]) - told.density[0].numpy()).max() < 1e-5


def test_excerpts_with_carried_state_equal_one_excerpt() -> None:
    net = shaken(TINY)
    mel = torch.from_numpy(np.random.default_rng(0).uniform(-90, -10, (2, PREFIX_HOPS + 240, 80)).astype(np.float32))
    with torch.no_grad():
        whole, _ = net(mel, net.start(2))
        carried, parts = net.start(2), []
        for at in range(0, 240, 60):
            part, carried = net(mel[:, at : at + PREFIX_HOPS + 60], carried)
            parts.append(part.meaning)
        assert torch.allclose(torch.cat(parts, 1), whole.meaning, atol=1e-5)
        forgotten = carried.kept(torch.tensor([True, False]))
    assert forgotten.hidden[1].abs().sum() == 0 and not forgotten.known[1].any()
    assert torch.equal(forgotten.keys[0], carried.keys[0])


@pytest.mark.parametrize("text", sound_effects.KINDS)
def test_sounds_are_equally_loud_and_repeat(text: str) -> None:
    for density in (0.05, 0.95):
        made = sound_effects.make(text, density, 1.0, 3)
        assert made.shape == (RATE,) and made.dtype == np.float32 and np.isfinite(made).all()
        assert loudness(np.stack([made, made], 1)) == pytest.approx(sound_effects.LUFS, abs=0.7)
    assert np.array_equal(made, sound_effects.make(text, 0.95, 1.0, 3))


def test_streams_tell_one_story_twice() -> None:
    rng = np.random.default_rng(0)
    clips = [
        Clip(f"kind {k}", f"{k}/{n}", 1, rng.uniform(-80, -20, (300, 80)).astype(np.float16))
        for k in range(3)
        for n in range(2)
    ]
    clips += [Clip("made", "made/1", 0, clips[0].mel, density=0.25)]
    texts = sorted({clip.text for clip in clips})
    streams = Streams(clips, texts, rows=6, hops=200, prefix=PREFIX_HOPS, seed=1)
    first, second = streams.draw(), streams.draw()
    assert first.mel.shape == (6, PREFIX_HOPS + 200, 80) and first.fresh.all()
    assert (first.mel[:, :PREFIX_HOPS] == -100).all()
    going = ~second.fresh
    assert going.any() and np.array_equal(second.mel[going, :PREFIX_HOPS], first.mel[going, -PREFIX_HOPS:])
    for batch in (first, second):
        assert np.array_equal(batch.label[:3], batch.label[3:]) and batch.label.shape == (6, 50)
        assert not np.array_equal(batch.mel[:3], batch.mel[3:]) and np.isfinite(batch.mel).all()
        made = batch.label == texts.index("made")
        assert np.isnan(batch.density[~made]).all() and (batch.density[made] == 0.25).all()


def folder(path: Path, seconds: float = 1.0, rate: int = 16_000) -> Path:
    """Three folds of two classes that a beginner can tell apart, in two sample rates, some in stereo."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * rate)) / rate
    for fold in (1, 2, 3):
        for kind in ("low_hum", "high_hiss"):
            (path / kind).mkdir(parents=True, exist_ok=True)
            hiss = rng.standard_normal(time.size)
            made = (
                0.2 * np.sin(2 * np.pi * rng.uniform(80, 160) * time)
                if kind == "low_hum"
                else 0.1 * np.diff(hiss, prepend=0)
            )
            stereo = np.stack([made, made], 1) if fold == 2 else made
            soundfile.write(path / kind / f"{fold}-100{fold}-A.wav", stereo, rate if fold != 3 else 44_100)
    return path


def test_data_is_read_and_what_is_bad_is_named(tmp_path: Path, messages: list[str]) -> None:
    data = folder(tmp_path / "data")
    (data / "low_hum/1-broken-A.wav").write_bytes(b"nothing")
    (data / "low_hum/1-empty-A.wav").write_bytes(b"")
    soundfile.write(data / "high_hiss/1-short-A.wav", np.zeros(100), 16_000)
    (data / "high_hiss/notes.txt").write_text("not a sound")
    cache = tmp_path / "cache.npz"
    clips = read_clips(data, cache)
    assert [(clip.text, clip.fold) for clip in clips] == [(t, f) for t in ("high hiss", "low hum") for f in (1, 2, 3)]
    assert len(messages) == 3 and all("\n" not in line for line in messages)
    assert all(any(name in line for line in messages) for name in ("1-broken-A", "1-empty-A", "1-short-A"))
    again = read_clips(data, cache)
    assert all(np.array_equal(a.mel, b.mel) for a, b in zip(clips, again, strict=True))
    cache.write_bytes(b"no cache")
    assert len(read_clips(data, cache)) == 6


def test_data_that_teaches_nothing_stops_in_one_line(tmp_path: Path) -> None:
    for make, words in (
        (lambda: tmp_path / "missing", "is not a folder"),
        (lambda: tmp_path, "no sound files in folders"),
    ):
        with pytest.raises(DataError, match=words):
            read_clips(make(), None)
    folder(tmp_path / "one")
    for path in (tmp_path / "one/low_hum").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="one class only"):
        read_clips(tmp_path / "one", None)


def train(data: Path, out: Path | None, run: Path, **more: object) -> Path:
    options: dict[str, object] = {"minutes": 0.05, "variants": 0, "layout": TINY, "plan": EncoderPlan(rows=4, hops=120)}
    return train_encoder(data, out, run=run, **(options | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds of training without fold 1: data, run and encoder in one folder."""
    root = tmp_path_factory.mktemp("trained")
    train(folder(root / "data"), root / "run/fold-1", root / "run", leave_out_fold=1)
    return root


def test_it_trains_leaves_out_and_resumes(trained: Path, tmp_path: Path) -> None:
    metadata = read_metadata(trained / "run/fold-1")
    assert metadata["training"]["left_out_fold"] == 1 and len(metadata["training"]["clips"]) == 4
    assert metadata["training"]["steps"] > 0 and metadata["texts"] == ["high hiss", "low hum"]
    hearing = read_encoder(trained / "run/fold-1", shipped("engines") / "ember")
    assert {"fire", "calm"} <= set(hearing.phrases[: hearing.scenes])
    assert "calm" in hearing.moods and "fire" not in hearing.moods
    assert {"high hiss", "low hum"} <= set(hearing.phrases[hearing.scenes :])
    steps = metadata["training"]["steps"]
    again = train(trained / "data", tmp_path / "again", trained / "run", leave_out_fold=1, resume=True, minutes=0.01)
    assert read_metadata(again)["training"]["steps"] > steps


def test_a_failed_run_overwrites_nothing(trained: Path, tmp_path: Path) -> None:
    before = (trained / "run/fold-1/encoder.json").read_bytes()
    with pytest.raises(DataError, match="no fold 7; its folds are 1, 2, 3"):
        train(trained / "data", trained / "run/fold-1", trained / "run", leave_out_fold=7)
    with pytest.raises(DataError):
        train(tmp_path, trained / "run/fold-1", trained / "run")
    assert (trained / "run/fold-1/encoder.json").read_bytes() == before


def test_a_training_has_its_number_of_steps_and_repeats(trained: Path, tmp_path: Path) -> None:
    """And the same ones: without a clock in it, a training repeats."""
    said = []
    for name in ("a", "b"):
        out = train(trained / "data", tmp_path / name, tmp_path / f"run-{name}", steps=5)
        said.append((out / "encoder.safetensors").read_bytes())
        assert read_metadata(out)["training"]["steps"] == 5
    assert said[0] == said[1]


def test_the_papers_own_losses_can_be_chosen(trained: Path, tmp_path: Path) -> None:
    out = train(trained / "data", None, tmp_path / "run", leave_out_fold=1, paper=True, steps=3)
    assert out == tmp_path / "run/fold-1-paper" and read_metadata(out)["training"]["variant"] == "paper"
    hearing = read_encoder(out, shipped("engines") / "ember")
    heard = hearing.push(0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32))
    assert heard[-1].density == pytest.approx(0.5)  # weights that sum to one say nothing of how much


def test_classes_can_be_left_out(trained: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    for kind in ("third", "fourth_class"):
        (data / kind).mkdir()
        for fold in (1, 2):
            soundfile.write(
                data / kind / f"{fold}-7-A.wav", 0.1 * np.random.default_rng(fold).standard_normal(RATE), RATE
            )
    out = train(data, None, tmp_path / "run", without=["third", "fourth class"], steps=2)
    assert out == tmp_path / "run/without-third-fourth_class"
    assert read_metadata(out)["texts"] == ["high hiss", "low hum"]
    with pytest.raises(DataError, match="no class birds"):
        train(data, None, tmp_path / "run", without=["birds"], steps=2)
    from tpos_live.evaluation.audio_model_command import evaluate_encoder

    found = evaluate_encoder(data, str(tmp_path / "run"), folds=False, variants=0, zero_shot=True)
    assert found["runs"] == 1 and found["n"] == 4 and found["seen_in_training"] == 0
    assert set(found["heard"]["5"]["per_class"]) == {"third", "fourth class"}
    # With a fold left out as well, of that fold alone.
    out = train(data, None, tmp_path / "both", without=["third", "fourth class"], leave_out_fold=1, steps=2)
    assert out.name == "fold-1-without-third-fourth_class"
    found = evaluate_encoder(data, str(tmp_path / "both"), folds=False, variants=0, zero_shot=True)
    assert found["n"] == 2 and found["per_fold"].keys() == {"1"}


def test_made_clips_know_their_density_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_effects, "KINDS", {text: sound_effects.KINDS[text] for text in ("rain", "siren")})
    clips = made_clips(3, 1.0, 5, tmp_path / "cache.npz")
    assert [clip.text for clip in clips] == ["rain"] * 3 + ["siren"] * 3
    assert [int(3 * clip.density) for clip in clips] == [0, 1, 2, 0, 1, 2]
    again = made_clips(3, 1.0, 5, tmp_path / "cache.npz")
    assert all(np.array_equal(a.mel, b.mel) for a, b in zip(clips, again, strict=True))


def test_evaluate_goes_through_the_live_path(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from click.testing import CliRunner

    from tpos_live.cli.main import cli

    def run(*arguments: str) -> dict[str, object]:
        result = CliRunner().invoke(cli, ["evaluate", "encoder", "--data", str(trained / "data"), "--json", *arguments])
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout))

    figures = run("--folds", "--encoder", str(trained / "run"), "--variants", "0")
    assert figures["n"] == 2 and figures["seen_in_training"] == 0  # folds 2 and 3 have no encoder
    assert set(figures["heard"]) == {"1", "2", "5"} and 0 < figures["ms_a_hop"] < 10  # type: ignore[call-overload, operator]
    assert run("--encoder", str(trained / "run/fold-1"), "--variants", "0")["seen_in_training"] == 4
    assert run("--encoder", "baseline", "--variants", "0")["n"] == 6
