"""Every sound that is made has a scene or is a mood, and the bank puts the scene where the sound is."""

from __future__ import annotations

from tpos_live.scenes.families import FAMILIES
from tpos_live.training.audio_model.sound_to_scene import SHOWN, bank, shown
from tpos_live.training.synth.sound_effects import KINDS
from tpos_live.training.text.captions import MOOD_PHRASES, PHRASES


def test_every_kind_of_sound_is_a_scene_or_a_mood() -> None:
    assert set(KINDS) - set(SHOWN) == set(MOOD_PHRASES)


def test_what_is_shown_is_a_phrase_that_is_taught() -> None:
    assert all(phrase in PHRASES[family] for family, phrase in SHOWN.values())


def test_a_sound_with_a_scene_of_its_own_name_shows_it() -> None:
    for text, (family, _) in SHOWN.items():
        named = [name for name in FAMILIES if text in PHRASES[name]]
        assert not named or family in named


def test_scenes_that_an_engine_does_not_know_are_left_out() -> None:
    few = shown(list(SHOWN), ("fire", "ocean"))
    assert "rain" not in few and few["fire"] == "fire"
    assert set(shown(["rain", "a stranger"], tuple(FAMILIES))) == {"rain"}


def test_the_bank_has_each_place_once() -> None:
    pairs = bank(["fire", "thunder", "calm", "crystal"], ["fire", "thunder", "bells", "calm"], tuple(FAMILIES))
    places = [place for _, place in pairs]
    assert len(set(places)) == len(places)
    assert {place: phrase for phrase, place in pairs} == {
        "fire": "fire", "thunder": "lightning", "calm": "calm", "crystal": "crystal", "bells": "crystal"
    }  # fmt: skip
