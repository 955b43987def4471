"""The scenes that the director may show beside a prompt, drawn by the shipped engine."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tpos_live.conditioning.beside import CLEARER, SMALLER, SUITS, BesidePrompt
from tpos_live.conditioning.builder import region_area
from tpos_live.conditioning.vocabulary_file import read_phrases
from tpos_live.core.direction import MAIN, NO_DIRECTION
from tpos_live.core.envelope import ease
from tpos_live.core.parameters import TABLE
from tpos_live.core.paths import shipped
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.scene_place import ScenePlace
from tpos_live.director.director import AREAS
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


def test_the_subject_of_a_prompt_stays_when_a_scene_lies_beside_it() -> None:
    """Correlation of the middle of the image with and without a scene at both sides. A factor that is too large, as 1.4
    beside an eclipse, gives 0.1 to 0.5. Lava, which fills the frame, only flows in other ways."""
    harness = SamplerHarness(load_engine(shipped("engines") / "ember", "cpu"), "eager", (320, 192))
    texts, phrases = harness.engine.texts, read_phrases(harness.engine.folder)
    assert phrases is not None
    families = {text: family for family, texts in phrases["family"].items() for text in texts}
    place = ScenePlace(harness.engine.latent_shape(harness.size), harness.engine.packing)
    middle = np.s_[48:144, 100:220]
    for family, factor in CLEARER.items() - {("lava", CLEARER["lava"])}:
        prompt, share = texts.encode(phrases["family"][family][0]), region_area(TABLE["audio.weight"].default)
        share *= AREAS[MAIN] * SMALLER.get(family, 1.0)
        noise, scalars = harness.moment(62, 3.0, 0.6)
        alone = harness.draw(prompt, scalars, noise)
        place.apply(noise, replace(NO_DIRECTION, aside=1.0), ease(share))
        for other in SUITS[family]:
            scene = texts.encode(next(scene.text for scene in SCENES if families.get(scene.text) == other)) * factor
            both = harness.blend([(prompt, 1.0 - share), (scene, share)], scalars, noise)
            kept = np.corrcoef(*(image[middle].mean(2).ravel() for image in (alone, both)))[0, 1]
            assert kept > 0.55, (family, other, kept)


def test_each_prompt_has_scenes_enough_for_four_minutes() -> None:
    """The director's scenes for the shipped engine, one per 40 s."""
    phrases = read_phrases(shipped("engines") / "ember")
    assert phrases is not None
    for family in phrases["family"]:
        suited = BesidePrompt(phrases["family"], lambda family=family: [family])()  # type: ignore[misc]
        assert suited is not None and sum(scene.text in suited for scene in SCENES) >= FEWEST, family
