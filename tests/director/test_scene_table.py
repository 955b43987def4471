"""The table of scenes fits the scenes and labels of the shipped engine and encoder."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from tpos_live.audio_encoder.load import open_encoder
from tpos_live.audio_encoder.tagger import LabelScorer
from tpos_live.conditioning.vocabulary_file import offered_scenes
from tpos_live.core.paths import shipped
from tpos_live.director.scene_choice import REST_SECONDS, SceneChoice
from tpos_live.director.scene_table import ALONE, KINDS, OPENING, SCENES, TYPICAL, suits_a_prompt
from tpos_live.scenes.families import FAMILIES
from tpos_live.training.text.near_words import near_words


def taken(choice: SceneChoice, kind: str, energy: float, light: float, now: float, *others: Any) -> str:
    """The next scene, which is shown from `now` on."""
    text = choice.pick(kind, energy, light, now, *others)
    choice.take(text, now)
    return text


def test_every_kind_is_a_label_of_the_shipped_encoder() -> None:
    encoder, _ = open_encoder()
    assert isinstance(encoder, LabelScorer)
    assert set(KINDS) <= set(encoder.labels)


def test_the_shipped_engine_offers_five_looks_for_every_kind_also_beside_a_prompt() -> None:
    offered = offered_scenes(shipped("engines") / "ember")
    assert offered is not None
    for kind, kins in KINDS.items():
        assert len({scene.kin for scene in SCENES if scene.kin in {*kins} - ALONE and scene.text in offered}) >= 5, kind


def test_every_family_that_an_engine_may_offer_has_a_scene_for_some_kind_of_music() -> None:
    shown = {kin for kins in KINDS.values() for kin in kins}
    texts = {scene.text for scene in SCENES if scene.kin in shown}
    assert not [name for name in near_words() if not texts & {*FAMILIES[name].phrases}]


def test_scenes_are_named_once_and_in_range() -> None:
    assert len({scene.text for scene in SCENES}) == len(SCENES)
    assert {kin for kins in KINDS.values() for kin in kins} <= {scene.kin for scene in SCENES}
    assert all(0 <= scene.energy <= 1 and 0 <= scene.light <= 1 for scene in SCENES)


def test_what_is_typical_is_of_the_kind_and_one_of_it_is_shown_beside_a_prompt() -> None:
    offered = offered_scenes(shipped("engines") / "ember")
    assert offered is not None
    kins = {scene.kin for scene in SCENES if scene.text in offered}
    for kind, typical in TYPICAL.items():
        assert set(typical) <= set(KINDS[kind]), kind
        assert set(typical) & kins - ALONE, kind


@pytest.mark.parametrize("beside", [False, True])
def test_kinds_of_music_begin_with_different_looks(beside: bool) -> None:
    """At an energy that suits them; beside a prompt Ember has eight looks, and synthwave shares one with hip hop."""
    energies = {
        "techno music": 0.8, "ambient music": 0.2, "rock music": 0.8, "jazz music": 0.4, "classical string music": 0.3,
        "hip hop music": 0.6, "synthwave music": 0.6, "epic orchestral music": 0.6,
    }  # fmt: skip
    offered, kins = offered_scenes(shipped("engines") / "ember"), {scene.text: scene.kin for scene in SCENES}
    first = {}
    for kind, energy in energies.items():
        suits = suits_a_prompt if beside else None
        found = [kins[taken(SceneChoice(), kind, energy, 0.5, 0.0, seed, offered, suits)] for seed in range(20)]
        assert sum(kin in TYPICAL[kind] for kin in found) >= 18, kind
        first[kind] = Counter(found).most_common(1)[0][0]
    assert len(set(first.values())) >= 8 - beside, first


@pytest.mark.parametrize("energy", [0.1, 0.9])
def test_energy_chooses(energy: float) -> None:
    found = [taken(SceneChoice(), "music", energy, 0.5, 0.0, seed, None) for seed in range(40)]
    energies = {scene.text: scene.energy for scene in SCENES}
    assert abs(sum(energies[text] for text in found) / len(found) - energy) < 0.3
    assert len(set(found)) >= 4, "another seed begins elsewhere"


def test_a_scene_comes_back_when_there_is_nothing_else() -> None:
    choice = SceneChoice()
    found = [taken(choice, "music", 0.5, 0.5, 30.0 * n, 0, {"the sea", "a campfire", "a neon grid"}) for n in range(12)]
    assert all(a != b for a, b in pairwise(found))


def test_a_look_rests_half_as_long_as_a_scene() -> None:
    choice, kins = SceneChoice(), {scene.text: scene.kin for scene in SCENES}
    found = [kins[taken(choice, "techno music", 0.6, 0.5, 30.0 * n, 1, None)] for n in range(5)]
    assert len(set(found)) == 5 and REST_SECONDS / 2 >= 30.0 * 4


def test_what_a_set_begins_with_does_not_come_back_at_once() -> None:
    choice, kins = SceneChoice(), {scene.text: scene.kin for scene in SCENES}
    found = [kins[taken(choice, "house music", 0.7, 0.5, 5.0 + 30.0 * n, 0, None)] for n in range(5)]
    assert OPENING not in found and OPENING in TYPICAL["house music"]
    beside = {kins[taken(SceneChoice(), "house music", 0.7, 0.5, 5.0, seed, None, bool)] for seed in range(20)}
    assert OPENING in beside, "beside a prompt it was not shown"


def test_where_few_scenes_of_the_kind_of_music_suit_the_prompt_others_come_before_one_comes_again() -> None:
    """With 40 s per scene, six scenes last for four minutes; those of the kind come first."""
    suited, kins = {"a campfire", "blazing flames", "misty mountains", "northern lights", "wormhole", "flowers"}, set()
    choice = SceneChoice()
    found = [taken(choice, "hip hop music", 0.5, 0.5, 40.0 * n, 2, None, suited.__contains__) for n in range(6)]
    kins = [next(scene.kin for scene in SCENES if scene.text == text) for text in found]
    assert set(found) == suited and set(kins[:2]) <= {*KINDS["hip hop music"]}
    alone = [taken(choice, "hip hop music", 0.5, 0.5, 40.0 * n, 2, suited) for n in range(6)]
    assert {scene.kin for scene in SCENES if scene.text in alone} <= {*KINDS["hip hop music"]}
