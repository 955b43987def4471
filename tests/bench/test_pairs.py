"""The scenes that the director may show beside a prompt, drawn by the shipped engine."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tpos_live.conditioning.beside import SUITS, BesidePrompt
from tpos_live.conditioning.vocabulary_file import read_phrases
from tpos_live.core.paths import shipped
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.director.scene_choice import FEWEST
from tpos_live.director.scene_table import SCENES
from tpos_live.evaluation.harness.sampler import SamplerHarness

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
beside = pytest.importorskip("beside")


def test_the_effect_of_a_light_and_of_a_shadow() -> None:
    alone = np.full((96, 160, 3), 100, np.uint8)
    for level, light in ((200, 1.0), (50, -0.5)):
        pair = alone.copy()
        pair[20:76, 20:76] = level
        found, seen = beside.effect(alone, pair)
        assert found == pytest.approx(light, abs=0.2) and seen == pytest.approx(abs(level - 100) / 255, rel=0.3)
    assert beside.effect(alone, alone) == pytest.approx((0.0, 0.0))


def test_no_scene_beside_a_prompt_darkens_its_image_and_each_is_seen() -> None:
    """Two images of each prompt beside scenes of the first family that suits it, the darkest ones."""
    harness, luma = SamplerHarness(load_engine(shipped("engines") / "ember", "cpu"), "eager", (320, 192)), beside.LUMA
    drawn = set()
    for family, _, text, alone, both in beside.pairs(harness, 2, {name: others[:1] for name, others in SUITS.items()}):
        drawn.add(family)
        light = np.mean(
            [(after @ luma).mean() / (before @ luma).mean() for before, after in zip(alone, both, strict=True)]
        )
        seen = np.mean([beside.effect(*two)[1] for two in zip(alone, both, strict=True)])
        assert light > 0.85, (family, text, light)
        assert seen > 0.03, (family, text, seen)
    assert drawn == set(SUITS)


def test_each_prompt_has_scenes_enough_for_four_minutes() -> None:
    """The director's scenes for the shipped engine, one per 40 s."""
    phrases = read_phrases(shipped("engines") / "ember")
    assert phrases is not None
    for family in phrases["family"]:
        suited = BesidePrompt(phrases["family"], lambda family=family: [family])()  # type: ignore[misc]
        assert suited is not None and sum(scene.text in suited for scene in SCENES) >= FEWEST, family
