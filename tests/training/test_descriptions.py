"""Prompts that describe a scene without its name: what is learned from descriptions, and a folder without it."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path

import pytest
import torch
from fakes.engines import ember_sentences

from tpos_live.conditioning.scene_scores import FILE, NONE, SHARE, WORDS, SceneScores, Sentences, features, read_learned
from tpos_live.conditioning.vocabulary import Vocabulary, load_vocabulary
from tpos_live.core.tensor_file import read_tensors
from tpos_live.training.errors import DataError
from tpos_live.training.text.descriptions import descriptions, learn, texts_for, train_descriptions
from tpos_live.training.text.families_file import read_families

EMBER = Path(__file__).parents[2] / "engines" / "ember"


@pytest.fixture(scope="module")
def sentences() -> Sentences:
    return ember_sentences()


def found(vocabulary: Vocabulary, texts: list[tuple[str, str]]) -> float:
    return sum(vocabulary.match(text).families[:1] == (family,) for text, family in texts) / len(texts)


def folder_with(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (shutil.copytree if (EMBER / name).is_dir() else shutil.copy)(EMBER / name, tmp_path / name)
    return tmp_path


def test_the_included_engine_has_learned_of_every_family_that_it_offers() -> None:
    offered = read_families(EMBER).offered
    assert set(read_learned(EMBER)) == {*offered, NONE} == {family for _, family in descriptions()}
    assert len({text.lower() for text, _ in descriptions()}) == len(descriptions()) == 8651


def test_what_other_families_are_called_is_learned_as_none() -> None:
    texts = dict(texts_for(["fire", "nebula"]))
    assert texts["forest"] == NONE and texts["embers glowing under grey ash"] == "fire"
    assert "galaxy" not in texts  # it leads to nebula, where galaxies are not offered


def test_descriptions_that_were_not_learned_find_their_scene_more_often(tmp_path: Path, sentences: Sentences) -> None:
    """Every fiftieth: 85 %, and 56 % without the classifier."""
    texts = [each for each in descriptions() if each[1] != NONE]
    others = [each for each in texts_for(read_families(EMBER).offered) if each not in texts[::50]]
    asked = texts[::50]
    without = load_vocabulary(folder_with(tmp_path, "vocabulary.json", "tokenizer"), sentences)
    assert without is not None
    before = found(without, asked)
    from safetensors.torch import save_file

    save_file(learn(others, sentences), tmp_path / FILE)
    taught = load_vocabulary(tmp_path, sentences)
    assert taught is not None
    assert found(taught, asked) > max(before + 0.2, 0.8)


def test_learning_gives_the_same_again(sentences: Sentences) -> None:
    texts = descriptions()[::20]
    once, again = learn(texts, sentences), learn(texts, sentences)
    assert all(torch.equal(once[name], again[name]) for name in once)


@pytest.mark.parametrize("content", [b"", b"x" * 40, b"\xff" * 8])
def test_a_damaged_file_is_one_line_and_prompts_are_matched_without_it(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_learned(tmp_path) == {}
    assert len(caplog.messages) == 1 and FILE in caplog.text


def test_numbers_that_are_not_finite_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from safetensors.torch import save_file

    save_file({"fire": torch.tensor([1.0, float("nan")])}, tmp_path / FILE)
    assert read_learned(tmp_path) == {} and "not finite" in caplog.text


FITS = 2 + WORDS + 1


@pytest.mark.parametrize(
    "learned",
    [{}, {"fire": torch.ones(FITS)}, dict.fromkeys(("fire", "sea"), torch.ones(FITS)),
     dict.fromkeys(("fire", "sea", NONE), torch.ones(9))],
)  # fmt: skip
def test_what_does_not_fit_the_engine_is_not_used(learned: dict[str, torch.Tensor]) -> None:
    scores = SceneScores({"fire": [0, 1], "sea": [2]}, learned, 2)
    found = scores("a text of four words", torch.tensor([1.0, 0.0]), torch.tensor([0.2, 0.4, 0.6]))
    assert found.scores == pytest.approx({"fire": 0.3, "sea": 0.6})
    assert found.likely == pytest.approx({"fire": 1 / 3, "sea": 1 / 3})


def test_what_was_learned_is_added_as_far_as_a_text_has_words() -> None:
    """The first number of the vector, and the word `ember`, speak for fire."""
    weights = features(torch.tensor([[2.0, 0.0]]), [{"ember"}])[0]
    learned = {"fire": torch.cat([weights, torch.tensor([0.5])]), "sea": torch.zeros(FITS), NONE: torch.zeros(FITS)}
    scores = SceneScores({"fire": [0], "sea": [1]}, learned, 2)
    vector, cosines = torch.tensor([1.0, 0.0]), torch.tensor([0.2, 0.6])
    for text, added in (("one two three four", 2.5), ("one two", 1.25), ("the", 0.0), ("embers one two three", 4.5)):
        found = scores(text, vector, cosines)
        assert found.scores == pytest.approx({"fire": 0.2 + SHARE * added, "sea": 0.6})
        assert found.likely["fire"] == pytest.approx(math.exp(added) / (math.exp(added) + 2))


def test_an_engine_that_offers_a_scene_without_descriptions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "families.toml").write_text('families = ["fire", "snow"]')
    with pytest.raises(DataError, match="no descriptions of snow"):
        train_descriptions(tmp_path)
    with pytest.raises(DataError, match="does not say which scenes"):
        train_descriptions(tmp_path / "none")


def test_training_writes_what_the_included_engine_has(tmp_path: Path) -> None:
    shutil.copytree(EMBER, tmp_path / "ember", ignore=shutil.ignore_patterns("unet", "vae", "sound_encoder", FILE))
    for part in ("unet", "vae"):
        (tmp_path / "ember" / part).symlink_to(EMBER / part)
    train_descriptions(tmp_path / "ember")
    made, shipped = read_tensors(tmp_path / "ember" / FILE), read_tensors(EMBER / FILE)
    assert made.keys() == shipped.keys()
    assert all(torch.allclose(made[name], shipped[name], atol=0.02) for name in made), "tpos-live train descriptions"
