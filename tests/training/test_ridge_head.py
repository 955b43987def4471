"""The regression that ends a training, and the sounds without names that it learns from as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_encoder_training import PREFIX_HOPS, TINY, folder, shaken, train

from tpos_live.audio_encoder.checkpoint import read_encoder, read_metadata
from tpos_live.core.paths import shipped
from tpos_live.training.audio_model.clips import Clip, Sound
from tpos_live.training.audio_model.losses import Texts
from tpos_live.training.audio_model.ridge_head import MADE, MOMENTS, RECORDED, balanced, fit_ridge_head, memories, ridge
from tpos_live.training.audio_model.trainer import Sentences
from tpos_live.training.audio_model.unlabeled import UnlabeledSounds, label_shares, read_unlabeled, similar_names
from tpos_live.training.audio_model.yamnet_teacher import DistillationTarget, read_kept, read_targets
from tpos_live.training.synth.sound_effects import KINDS

EMBER = shipped("engines") / "ember"


@pytest.fixture(scope="module")
def sentences() -> Sentences:
    return Sentences(EMBER)


def clip(text: str, seed: int, hops: int = 700, density: float = float("nan")) -> Clip:
    rng = np.random.default_rng(seed)
    mel = rng.uniform(-70, -20, (hops, 1)) + rng.uniform(-20, 20, 80)
    return Clip(text, f"{text}/{seed}", 0, mel.astype(np.float16), density)


@pytest.mark.parametrize(("clips", "made", "unlabeled"), [(318, 576, 5355), (10, 0, 400), (3, 4, 0), (50, 60, 20)])
def test_what_has_a_name_outweighs_what_has_none(clips: int, made: int, unlabeled: int) -> None:
    """However many there are of each."""
    weight = balanced([True] * clips + [False] * made, unlabeled)
    assert weight.shape == (clips + made + unlabeled,) and bool((weight >= 1).all())
    assert bool((weight[clips + made :] == 1).all())
    of_clips, of_made = float(weight[:clips].sum()), float(weight[clips : clips + made].sum())
    assert of_clips == pytest.approx(max(RECORDED * unlabeled, clips), rel=1e-5)
    assert of_made == pytest.approx(max(MADE * unlabeled, made) if made else 0, rel=1e-5)


def test_the_regression_is_the_best_there_is() -> None:
    """Against the normal equations with the penalty as further rows, solved by least squares."""
    rng = np.random.default_rng(0)
    x, y, each = rng.standard_normal((60, 7)), rng.standard_normal((60, 3)), rng.uniform(0.1, 5, 60)
    made, bias = ridge(*(torch.from_numpy(array) for array in (x, y, each)), penalty=2.0)
    root = np.sqrt(each)[:, None]
    rows = np.concatenate([np.concatenate([x, np.ones((60, 1))], 1) * root, np.sqrt(2.0) * np.eye(7, 8)])
    best = np.linalg.lstsq(rows, np.concatenate([y * root, np.zeros((7, 3))]), rcond=None)[0]
    assert np.allclose(np.concatenate([made.numpy(), bias.numpy()[:, None]], 1), best.T)


@pytest.mark.parametrize("parts", [{}, {"lstm": False}])
def test_it_reads_the_very_memory_that_the_net_has(parts: dict[str, bool]) -> None:
    """Regression on a memory's mean is the net's own attended meaning at that moment; pauses left out."""
    layout = replace(TINY, memory=250, **parts)
    net, one = shaken(layout, 3), clip("a", 1)
    mel = one.mel.astype(np.float32)
    mel[100:180] = -95.0
    one = replace(one, mel=mel)
    held = memories(net, [one])
    assert held.shape == (len(MOMENTS), 1, 2 * layout.width)
    whole = np.full((1, PREFIX_HOPS + 4 * MOMENTS[-1], 80), -100, np.float32)
    whole[0, PREFIX_HOPS:] = mel[: 4 * MOMENTS[-1]]
    with torch.no_grad():
        teacher_embeddings, _ = net(torch.from_numpy(whole), net.start(1))
        dim = layout.dim
        for moment, steps in zip(held, MOMENTS, strict=True):
            mine = F.linear(moment[0], net.heads.weight[:dim], net.heads.bias[:dim])
            assert torch.allclose(mine, teacher_embeddings.meaning[0, steps - 1], atol=1e-4)


def test_a_sound_shorter_than_a_moment_is_read_at_its_end() -> None:
    net = shaken(TINY)
    held = memories(net, [clip("a", 1, hops=61), clip("b", 2, hops=3)])
    assert torch.equal(held[0, 0], held[1, 0]) and held.isfinite().all()


def test_named_clips_come_to_lie_at_their_names_and_others_where_they_are_told(sentences: Sentences) -> None:
    net = shaken(TINY, 4)
    texts = ["rain", "dog bark", "siren"]
    vectors, states = sentences.encode(texts)
    teacher_embeddings = Texts(vectors, states[:, 1 : 1 + TINY.rows])
    # As many sounds as the regression has numbers to choose: each kind is one sound, a little changed.
    base = {text: clip(text, seed).mel for seed, text in enumerate([*texts, "piano"])}
    rng = np.random.default_rng(0)

    def like(text: str, n: int) -> Clip:
        return Clip(text, f"{text}/{n}", 0, (base[text] + rng.normal(0, 0.3, 80)).astype(np.float16))

    clips = [like(text, n) for text in texts for n in range(6)]
    piano, piano_states = sentences.encode(["piano"])
    unlabeled = UnlabeledSounds(
        [like("piano", n) for n in range(60)], piano.expand(60, -1), piano_states.expand(60, -1, -1), ["piano"],
        vectors.mean(0),
    )  # fmt: skip
    heard = fit_ridge_head(
        net, clips, [texts.index(one.text) for one in clips], teacher_embeddings, unlabeled, penalty=1.0
    )
    assert heard.shape == (78, TINY.dim) and torch.allclose(heard.norm(dim=1), torch.ones(78), atol=1e-5)
    places = torch.cat([vectors, piano])
    assert (heard @ places.T).argmax(1).tolist() == 6 * [0] + 6 * [1] + 6 * [2] + 60 * [3]
    # The linear mapping was fitted to these very meanings.
    rows = net.states(heard[:6]).view(6, TINY.rows, -1)
    assert (rows - teacher_embeddings.states[0]).norm() < 0.5 * (
        teacher_embeddings.states[0] - teacher_embeddings.states[1]
    ).norm() * 6**0.5


def test_labels_are_shared_by_the_teachers_scores() -> None:
    target = DistillationTarget(
        "x", np.zeros((1, 80)), np.zeros((1, 4)), {"bell": 0.64, "music": 0.16, "dog": 0.05, "silence": 0.9}
    )
    assert label_shares(target) == {"bell": pytest.approx(2 / 3), "music": pytest.approx(1 / 3)}
    assert label_shares(target, frozenset({"bell", "music"})) == {"silence": 1.0}
    assert label_shares(replace(target, labels={})) == {}


def test_names_that_mean_what_is_left_out_are_not_used(sentences: Sentences) -> None:
    names = ["Dog", "Bow-wow", "Rain on surface", "Raindrop", "Train", "Bell", "Chicken, rooster", "Dogs"]
    names = [name.lower() for name in names]
    barred = similar_names(names, ["rain", "dog bark"], sentences)
    assert {"dog", "dogs", "rain on surface", "raindrop"} <= barred
    assert not {"bell", "train", "chicken, rooster"} & barred
    assert similar_names(names, [], sentences) == similar_names([], ["rain"], sentences) == frozenset()
    # So no procedural fire where "fire crackling" is left out, and no ocean waves without "sea waves".
    barred = similar_names(sorted(KINDS), ["fire crackling", "sea waves"], sentences)
    assert {"fire", "ocean waves"} <= barred and not {"rain", "bells", "engine"} & barred


class Namer:
    """A teacher of five names that is sure of one of them: the pitch says which."""

    names = ["silence", "bell", "rain", "raindrop", "siren"]  # noqa: RUF012

    def __init__(self, path: Path) -> None:
        del path

    def hear(self, mono: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(mono) // 19_200
        crossings = int((np.diff(np.sign(mono)) != 0).mean() * 24_000)
        scores = np.full((n, 5), 0.01, np.float16)
        scores[:, 1 + min(crossings // 200, 3)] = 0.8
        return np.ones((n, 8), np.float16), scores


def targets(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[DistillationTarget]:
    monkeypatch.setattr("tpos_live.training.audio_model.yamnet_teacher.Yamnet", Namer)
    time = np.arange(48_000) / 48_000

    def tone(pitch: float) -> np.ndarray:
        return (0.2 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)

    some = [Sound(f"{pitch}/{n}", tone(pitch + n)) for pitch in (100, 300, 500, 700) for n in range(4)]
    return read_targets(None, Path("teacher"), cache, some)


def test_unnamed_sounds_are_kept_with_what_they_may_be(
    tmp_path: Path, sentences: Sentences, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "targets.npz"
    assert read_unlabeled(cache, sentences) is None
    made = targets(cache, monkeypatch)
    assert [one.labels for one in read_kept(cache)[0]] == [one.labels for one in made]
    assert list(made[0].labels) == ["bell"] and read_kept(cache)[1] == Namer.names
    found = read_unlabeled(cache, sentences)
    assert found is not None and len(found.clips) == 16 and found.names == ["bell", "rain", "raindrop", "siren"]
    vectors, states = sentences.encode(["bell"])
    assert torch.allclose(found.places[0], vectors[0], atol=1e-5)
    assert torch.allclose(found.states[0], states[0], atol=1e-5) and found.centre.shape == (128,)
    # What is left out is not heard of, and what is named elsewhere is not heard twice.
    strict = read_unlabeled(cache, sentences, without=["rain"], besides=["100/0", "100/1"])
    assert strict is not None and strict.names == ["siren"] and len(strict.clips) == 6
    np.savez(cache, **{"mel a": np.zeros((40, 80)), "told a": np.zeros((1, 8))})  # kept by an older version
    assert read_unlabeled(cache, sentences) is None and len(read_kept(cache)[0]) == 1


def test_a_training_with_unnamed_sounds_knows_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, data = tmp_path / "run", folder(tmp_path / "data")
    run.mkdir()
    targets(run / "targets.npz", monkeypatch)
    out = train(data, None, run, leave_out_fold=1, steps=2)
    assert read_metadata(out)["training"]["unnamed"] == 16
    hearing = read_encoder(out, EMBER)
    assert {"bell", "siren", "low hum"} <= set(hearing.phrases[hearing.scenes :])
    places = hearing.vectors[[hearing.phrases.index("low hum"), hearing.phrases.index("high hiss")]]
    hum = 0.2 * np.sin(2 * np.pi * 120 * np.arange(48_000) / 48_000)
    near = hearing.csls_scorer(places)(hearing.push(hum.astype(np.float32))[-1].vector)
    assert near.argmax() == 0 and np.isfinite(near).all()
