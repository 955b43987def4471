"""The thesaurus: words of its own for every family, none of them held out."""

import random

from tpos_live.training.text.captions import HELD_OUT, PHRASES, caption, phrase
from tpos_live.training.text.synonyms import idle_word, lists, word_for

WORDS = lists()


def test_every_family_has_words_and_no_word_has_two_families() -> None:
    assert set(WORDS) == {*PHRASES, "idle"}
    assert all(WORDS.values())
    every = [word for words in WORDS.values() for word in words]
    assert len(every) == len(set(every))


def test_words_that_are_kept_out_of_captions_are_kept_out_here() -> None:
    held_out = {word for texts in HELD_OUT.values() for text in texts for word in text.split()}
    assert not held_out & {word for words in WORDS.values() for word in words}


def test_phrases_come_from_the_grammar_and_from_the_thesaurus() -> None:
    rng = random.Random(1)
    said = [phrase(rng, "fire") for _ in range(400)]
    by_hand = sum(text in PHRASES["fire"] for text in said)
    assert 250 < by_hand < 390
    assert any(text in WORDS["fire"] and text not in PHRASES["fire"] for text in said)


def test_idle_words_stand_in_some_captions() -> None:
    rng = random.Random(2)
    idle = set(WORDS["idle"])
    with_idle = sum(bool(idle & set(caption(rng, "fog", "natural", "plain", None, None).split())) for _ in range(400))
    assert 20 < with_idle < 100
    assert idle_word(rng) in idle


def test_a_family_without_words_has_none() -> None:
    assert word_for(random.Random(0), "a family that is not there") == ""
