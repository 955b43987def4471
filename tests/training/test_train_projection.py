"""The mapping of an engine: trained on a small random CLIP-shaped one, used, and refused where it does not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from fakes.messages import heard_messages
from fakes.tiny_engine import make_tiny_engine

from tpos_live.audio_encoder.checkpoint import read_metadata, text_hash
from tpos_live.audio_encoder.load import open_encoder
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.cli.main import cli
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner, SentenceSpaceEncoder
from tpos_live.conditioning.phrase_conditioner import PhraseConditioner, choose_audio_conditioner, sound_phrases
from tpos_live.conditioning.projection import (
    METADATA,
    WEIGHTS,
    AudioProjection,
    ProjectedConditioner,
    ProjectionError,
    find_projection,
    read_projection,
    states_hash,
)
from tpos_live.core.paths import projections_dir, shipped
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.training.audio_model import train_projection as training
from tpos_live.training.audio_model.train_projection import ProjectionPlan, phrases, train_projection

EMBER = shipped("engines") / "ember"
QUICK = ProjectionPlan(steps=300, rank=16, hidden=64, rate=1e-2, blur=0.3)
SPACE = text_hash(EMBER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_engine(tmp_path_factory.mktemp("clip") / "clip", "sd-turbo")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return load_engine(folder, "cpu")


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    home = tmp_path_factory.mktemp("data") / "mappings"
    with heard_messages() as lines:
        train_projection(str(folder), home=home, plan=QUICK, count=320, threads=1)
    return home, lines


@pytest.fixture
def home(trained: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(trained[0], tmp_path / "mappings"))


def find(home: Path, engine: Engine, space: str = SPACE) -> tuple[AudioProjection | None, str]:
    return find_projection(home, engine.folder, engine.text_tokens, engine.token_dim, space)


def test_training_reports_the_errors_of_projection_and_bank(trained: tuple[Path, list[str]], engine: Engine) -> None:
    home, lines = trained
    assert any("concept bank" in line for line in lines) and "wrote" in lines[-1]
    projection, why = find(home, engine)
    assert projection is not None and why == ""
    assert (projection.tokens, projection.dim, projection.space) == (77, 32, 128)
    figures = projection.facts["figures"]
    assert 0 < figures["mapping_error"] < 2 and 0 < figures["bank_error"] < 2 and figures["n"] == 32
    assert projection.facts["space"] == SPACE and projection.facts["text_encoder"] == states_hash(engine.folder)


def test_it_is_hundreds_of_times_smaller_than_the_papers() -> None:
    plan, tokens, dim, space = ProjectionPlan(), 77, 1024, 128
    weights = {
        "skip": torch.zeros(tokens * plan.rank, space), "into": torch.zeros(plan.hidden, space),
        "into_bias": torch.zeros(plan.hidden), "out": torch.zeros(tokens * plan.rank, plan.hidden),
        "mean": torch.zeros(tokens, dim), "basis": torch.zeros(plan.rank, dim), "lengths": torch.ones(tokens, 1),
    }  # fmt: skip
    assert AudioProjection(weights).parameters < 454_200_000 / 200


def follow(sound: PhraseBankConditioner, vector: np.ndarray, begin: float = 0.0, seconds: float = 6.0) -> None:
    for n in range(int(30 * seconds)):
        sound.follow(AudioEmbedding(begin + n / 30, vector.astype(np.float32), 1.0), begin + n / 30)


@pytest.mark.parametrize("road", ["bank", "mapping"])
def test_bank_and_projection_condition_an_engine_with_a_clip_encoder(
    road: str, trained: tuple[Path, list[str]], engine: Engine
) -> None:
    encoder, _ = open_encoder()
    if not isinstance(encoder, SentenceSpaceEncoder):
        pytest.skip("the encoder in the box knows no phrases")
    projection, _ = find(trained[0], engine)
    assert projection is not None
    sound: PhraseConditioner
    if road == "bank":
        made = choose_audio_conditioner(encoder, engine.texts.encode_all, 4, engine.trained_with_audio)
        assert isinstance(made, PhraseConditioner)
        sound = made
    else:
        sound = ProjectedConditioner(*sound_phrases(encoder), projection, 4)
    chosen = [n for n, text in enumerate(encoder.phrases) if text in ("rain", "fire", "bells", "siren", "ocean")]
    own = torch.stack([engine.texts.encode(encoder.phrases[n]) for n in chosen])
    right = 0
    for index, n in enumerate(chosen):
        follow(sound, encoder.vectors[n], begin=10.0 * index)
        assert sound.heard() == encoder.phrases[n] and sound.strength() > 0.95
        assert sound.sentence().shape == (77, 32) and sound.tokens().shape == (4, 32)
        right += int((own - sound.sentence()).flatten(1).norm(dim=1).argmin()) == index
        for most in (1, 2, 3):
            found = sound.directions(most)
            assert len(found) == most and sum(share for _, share in found) == pytest.approx(1.0)
            assert all(states.shape == (77, 32) for states, _ in found)
    assert right >= len(chosen) - 1


def test_states_are_as_long_as_real_ones_and_move_with_the_meaning(trained: tuple[Path, list[str]]) -> None:
    projection = read_projection(next(trained[0].glob("*")))
    vectors = F.normalize(torch.randn(20, 128, generator=torch.Generator().manual_seed(0)), dim=-1)
    states = projection(vectors)
    lengths = projection.weights["lengths"].expand(20, -1, -1)
    assert torch.allclose(states.norm(dim=-1, keepdim=True), lengths, rtol=1e-3)
    near = projection(F.normalize(vectors + 0.01 * vectors.roll(1, 0), dim=-1))
    assert (near - states).norm() < 0.1 * (states.roll(1, 0) - states).norm()


def test_silence_and_nonsense_leave_the_place_where_it_was(trained: tuple[Path, list[str]]) -> None:
    encoder, _ = open_encoder()
    assert isinstance(encoder, SentenceSpaceEncoder)
    sound = ProjectedConditioner(encoder.phrases, encoder.vectors, read_projection(next(trained[0].glob("*"))), 4)
    follow(sound, encoder.vectors[0])
    before = sound.sentence().clone()
    for vector in (np.zeros(128), np.full(128, np.nan), np.ones(3)):
        sound.follow(AudioEmbedding(7.0, vector.astype(np.float32), 1.0), 7.0)
        assert torch.allclose(sound.sentence(), before, atol=1e-3)


def test_another_text_encoder_is_refused_with_the_command(home: Path, folder: Path, tmp_path: Path) -> None:
    (path,) = home.glob(f"*/{METADATA}")
    other = load_engine(make_tiny_engine(tmp_path / "clip", "sd-turbo", seed=9), "cpu")
    assert find(home, other) == (None, "")  # a stranger of the same shape: no word about it
    path.write_text(path.read_text().replace(str(folder), str(other.folder)))
    projection, why = find(home, other)
    assert projection is None and "another text encoder" in why
    assert f"tpos-live train mapping --engine {other.folder}" in why


def test_another_sentence_space_is_refused_with_the_command(home: Path, engine: Engine) -> None:
    projection, why = find(home, engine, space="0" * 64)
    assert projection is None and "sentence space" in why and "train mapping --engine" in why


@pytest.mark.parametrize("damage", ["json", "format", "weights", "shape", "missing"])
def test_a_damaged_mapping_is_named_and_the_bank_takes_its_place(home: Path, engine: Engine, damage: str) -> None:
    (path,) = home.glob(f"*/{METADATA}")
    weights = path.parent / WEIGHTS
    if damage == "json":
        path.write_text("{")
    elif damage == "format":
        path.write_text(path.read_text().replace('"format": 1', '"format": 9'))
    elif damage == "weights":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "shape":
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        save_file(tensors | {"skip": torch.zeros(3, 5)}, weights)
    else:
        weights.unlink()
    projection, why = find(home, engine)
    assert projection is None and str(path.parent) in why and "\n" not in why
    with pytest.raises(ProjectionError):
        read_projection(path.parent)


def test_a_failed_training_leaves_the_old_one(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = home.glob(f"*/{METADATA}")
    before = path.read_bytes()

    def fail(*_: object) -> AudioProjection:
        raise RuntimeError("no")

    monkeypatch.setattr(training, "fit", fail)
    with pytest.raises(RuntimeError):
        train_projection(str(folder), home=home, plan=QUICK, count=100)
    assert path.read_bytes() == before and len(list(home.iterdir())) == 1


def test_phrases_are_different_and_the_same_for_a_seed() -> None:
    bank = read_metadata(EMBER / "sound_encoder")["phrases"]
    once = list(dict.fromkeys(bank))
    count = len(once) + 300
    one = phrases(bank, count, 0)
    assert len(set(one)) == count and one[: len(once)] == once
    assert one == phrases(bank, count, 0) != phrases(bank, count, 1)


def test_an_engine_that_is_not_there_is_one_line() -> None:
    done = CliRunner().invoke(cli, ["train", "mapping", "--engine", "nowhere"])
    assert done.exit_code != 0 and "nowhere" in str(done.exception)


def test_a_show_uses_the_mapping_where_there_is_one(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings({"engine.name": str(folder), "engine.size": "64", "engine.accelerator": "eager"})
    encoder, _ = open_encoder()
    monkeypatch.setattr("tpos_live.runtime.engine_conditioner.projections_dir", lambda: home)
    with Pipeline(settings, live=False, encoder=encoder) as pipeline:
        assert isinstance(pipeline.builder._audio, ProjectedConditioner) and "mapping" not in pipeline.message
    monkeypatch.setattr("tpos_live.runtime.engine_conditioner.text_hash", lambda engine: "0" * 64)
    with Pipeline(settings, live=False, encoder=encoder) as pipeline:
        assert type(pipeline.builder._audio) is PhraseConditioner and "tpos-live train mapping" in pipeline.message


def test_mappings_lie_in_the_users_data() -> None:
    assert projections_dir().name == "mappings" and "tpos-live" in str(projections_dir())
