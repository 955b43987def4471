"""The classifier: its file, its training, and the one in the box."""

from __future__ import annotations

import random
from pathlib import Path

import click
import pytest
import torch

from tpos_live.evaluation.classifier.command import chosen
from tpos_live.evaluation.classifier.images import CUT, NONE, Images, augment, soften, wide
from tpos_live.evaluation.classifier.model import (
    FEATURES,
    FILE,
    PART,
    SIDE,
    ClassifierError,
    SceneClassifier,
    load_classifier,
    save_classifier,
    shrink,
)
from tpos_live.evaluation.classifier.train import inherit, intensity_loss, train_classifier, window
from tpos_live.scenes.families import FAMILIES
from tpos_live.scenes.finishing import MOODS, STYLES
from tpos_live.training.text.families_file import read_families

EMBER = Path(__file__).parents[2] / "engines" / "ember"


def test_what_it_says_does_not_depend_on_the_batch_or_the_size() -> None:
    torch.manual_seed(0)
    classifier = SceneClassifier(("fire", "ocean")).eval()
    images = torch.rand(3, 3, 64, 64).repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert classifier(images).shape == (3, 2) and classifier.embed(images).shape == (3, FEATURES)
    for say in (classifier, classifier.intensities):
        said = say(images)
        assert torch.allclose(say(images[1:2]), said[1:2], atol=1e-5)
        assert torch.allclose(say(shrink(images)), said, atol=1e-5)
        assert say(torch.rand(1, 3, 288, 512)).shape == (1, 2)


def test_it_looks_at_the_parts_of_an_image() -> None:
    torch.manual_seed(0)
    classifier = SceneClassifier(("fire", "ocean", "galaxy")).eval()
    images = torch.rand(2, 3, 128, 128)
    assert classifier.places(images).shape[2:] == (8, 8) and classifier.parts(images).shape == (2, 25, 3)
    images[1] = images[0]
    images[1, ..., 64:] = 0  # what is on the right changes nothing on the far left
    parts = classifier.parts(images).view(2, 5, 5, 3)
    changed = (parts[0] - parts[1]).abs().amax((0, 2))
    assert changed[4] > 4 * changed[0]


def test_each_image_is_cropped_at_random() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(6, 3, SIDE, SIDE, generator=rng)
    cuts = augment(images, rng)
    assert cuts.shape == (6, 3, CUT, CUT) and cuts.min() >= 0 and cuts.max() <= 1
    places = torch.arange(49.0).view(1, 1, 7, 7)
    seen = {float(window(places, rng)) for _ in range(200)}
    assert len(seen) == (7 - PART + 1) ** 2


def test_a_classifier_inherits_what_another_knows() -> None:
    torch.manual_seed(0)
    known, classifier = SceneClassifier(("fire", "ocean")).eval(), SceneClassifier(("galaxy", "ocean", "fire")).eval()
    inherit(classifier, known)
    image = torch.rand(1, 3, 128, 128)
    assert torch.allclose(classifier(image)[0, [2, 1]], known(image)[0], atol=1e-5)
    assert torch.allclose(classifier.intensities(image)[0, [2, 1]], known.intensities(image)[0], atol=1e-5)


def test_it_is_saved_small_and_comes_back(tmp_path: Path) -> None:
    classifier = SceneClassifier(tuple(f"family {n}" for n in range(40))).eval()
    save_classifier(classifier, tmp_path / FILE, {"seed": 3})
    again, facts = load_classifier(tmp_path)
    assert facts == {"seed": 3} and again.families == classifier.families
    assert (tmp_path / FILE).stat().st_size < 2_000_000
    image = torch.rand(1, 3, 128, 128)
    assert torch.allclose(again(image), classifier(image), atol=0.05)


def test_the_file_of_an_earlier_version_is_read_until_there_is_a_new_one(tmp_path: Path) -> None:
    save_classifier(SceneClassifier(("fire",)), tmp_path / "judge" / "judge.safetensors", {"seed": 1})
    assert load_classifier(tmp_path)[1] == {"seed": 1}
    save_classifier(SceneClassifier(("fire",)), tmp_path / FILE, {"seed": 2})
    assert load_classifier(tmp_path)[1] == {"seed": 2}


@pytest.mark.parametrize("damage", ["gone", "cut", "garbage", "foreign"])
def test_a_damaged_classifier_is_one_line_with_the_remedy(tmp_path: Path, damage: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / FILE
    save_classifier(SceneClassifier(("fire",)), path, {})
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "garbage":
        path.write_bytes(b"\xff" * 99)
    else:
        save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ClassifierError, match="train classifier") as caught:
        load_classifier(tmp_path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_it_is_taught_every_style_mood_and_intensity() -> None:
    rng = random.Random(0)
    recipes = [wide(rng, "fire") for _ in range(400)]
    assert {r.style for r in recipes} == set(STYLES) and {r.mood for r in recipes} == set(MOODS)
    assert sum(r.colour is not None for r in recipes) > 100 and all(r.second is None for r in recipes)
    assert min(r.scalars[0] for r in recipes) < 0.1 and max(r.scalars[0] for r in recipes) > 0.9


def test_intensity_is_learned_from_images_without_a_mood_or_a_second_scene() -> None:
    images = Images(("fire", "ocean"), 0, torch.device("cpu"), two=0.5)
    _, kind, second, intensity = images.make(48)
    plain = torch.tensor([mood == "plain" for mood in images.moods]) & (second == NONE)
    assert 0 < plain.sum() < 48 and torch.equal(intensity.isfinite(), plain)
    read = torch.rand(48, 2, requires_grad=True)
    intensity_loss(read, kind, intensity).backward()
    assert read.grad is not None and torch.equal(read.grad.abs().sum(1) > 0, plain)
    assert intensity_loss(read, kind, torch.full((48,), torch.nan)) == 0


def test_training_and_held_out_images_differ_but_repeat() -> None:
    def some(seed: int) -> torch.Tensor:
        return Images(("fire", "ocean"), seed, torch.device("cpu")).make(2)[0]

    assert torch.equal(some(1), some(1)) and not torch.equal(some(1), some(2))


def test_softening_keeps_colour_and_loses_detail() -> None:
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    soft = soften(image, 4)
    assert soft.shape == image.shape and soft.std() < 0.5 * image.std()
    assert torch.allclose(soft.mean((2, 3)), image.mean((2, 3)), atol=0.01)


def test_training_writes_a_classifier_and_resumes(tmp_path: Path) -> None:
    facts = train_classifier(tmp_path, 0.0, 0, ("fire", "ocean"), threads=1, accelerator="cpu", held_out=24)
    assert 0 <= float(str(facts["accuracy"])) <= 1 and facts["held_out"] == 24
    more = train_classifier(
        tmp_path, 0.0, 0, ("fire", "ocean"), threads=1, accelerator="cpu", resume=True, held_out=24, run=tmp_path
    )
    assert int(str(more["steps"])) == 2 * int(str(facts["steps"]))
    with pytest.raises(ValueError, match="no scene family"):
        train_classifier(tmp_path, 0.0, 0, ("fire", "bears"))


def test_families_are_chosen_by_name_by_engine_or_all(tmp_path: Path) -> None:
    assert chosen("fire, ocean") == ["fire", "ocean"] and chosen("all") == list(FAMILIES)
    assert chosen("", tmp_path) == read_families(EMBER).trained
    (tmp_path / "families.toml").write_text('families = ["galaxy"]')
    assert chosen("", tmp_path) == ["galaxy"]
    (tmp_path / "families.toml").write_text("nothing = 1")
    for families, folder in (("bears", tmp_path), ("", tmp_path)):
        with pytest.raises(click.UsageError, match="families"):
            chosen(families, folder)


@pytest.mark.skipif(not (EMBER / FILE).exists(), reason="no classifier in the box yet")
def test_the_classifier_in_the_box_knows_renders_that_it_never_saw(ember_families: list[str]) -> None:
    classifier, facts = load_classifier(EMBER)
    assert set(classifier.families) >= set(ember_families) and (EMBER / FILE).stat().st_size < 2_000_000
    assert float(str(facts["accuracy"])) >= 0.98
    images, kind, _, _ = Images(classifier.families, 77_777, torch.device("cpu")).make(24)
    assert (classifier(images.float() / 255).argmax(1) == kind).float().mean() >= 0.8
