"""Typing errors in prompts are corrected to words of scenes; names and other words stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.engines import ember_sentences

from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.conditioning.words import Spelling, whole_words

EMBER = Path(__file__).parents[2] / "engines" / "ember"
KNOWN = ("neon tunnel", "forest", "lightning", "smoke", "beams", "flames", "glass", "volcano", "fire")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tunel", "tunnel"),  # one letter too few
        ("lighttning", "lightning"),  # one too many
        ("vulcano", "volcano"),  # a wrong one
        ("smoek", "smoke"),  # two exchanged
        ("fier", "fier"),  # too short
        ("seams", "seams"),  # the first letter is right
        ("glassy", "glassy"),  # the last one is not added
        ("flakes", "flakes"),  # too short for a wrong letter
        ("forrest", "forrest"),  # is a word
        ("corals", "corals"),  # a plural of a word
        ("tun3l", "tun3l"),
        ("t\u00fcnnel", "t\u00fcnnel"),
        ("", ""),
        ("x" * 1_000_000, "x" * 1_000_000),  # longer than any of them
    ],
)
def test_one_error_is_corrected_and_nothing_else(typed: str, meant: str) -> None:
    assert Spelling((*KNOWN, "coals"), {"forrest", "coral"})(typed) == meant


def test_of_two_words_as_near_the_first_counts_and_without_a_list_of_words_none() -> None:
    assert Spelling(("planets", "plants"), {"a"})("plannts") == "planets"
    assert Spelling(("plants", "planets"), {"a"})("plannts") == "plants"
    assert Spelling(KNOWN, ())("tunel") == "tunel"


def test_ember_reads_a_prompt_with_errors_as_it_was_meant() -> None:
    vocabulary = load_vocabulary(EMBER, ember_sentences())
    assert vocabulary is not None
    assert vocabulary.rewrite("bonfrie and flamse") == "fire"
    assert vocabulary.rewrite("purpel nebulla, dreamy") == "violet nebula"
    understood = vocabulary.match("underwatter and mountians")
    assert set(understood.families) == {"underwater", "mountains"} and not understood.missed


def test_an_engine_without_such_a_tokenizer_corrects_nothing(tmp_path: Path) -> None:
    assert "tunnel" in whole_words(EMBER) and whole_words(tmp_path) == frozenset()
    place = tmp_path / "tokenizer" / "tokenizer.json"
    place.parent.mkdir()
    for text in ("[", "[]", "{}", '{"model": {"type": "BPE", "vocab": {"a": 1}}}', '{"model": 3}'):
        place.write_text(text)
        assert whole_words(tmp_path) == frozenset()
