"""Captions with new wording: the shipped ones, and files of other people's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tpos_live.evaluation.captions import SHIPPED, CaptionsError, read_captions
from tpos_live.training.text.captions import PHRASES


def test_every_family_in_the_box_has_new_wording(ember_families: list[str]) -> None:
    found = read_captions(SHIPPED, ember_families)
    assert all(sum(family == name for _, family in found) >= 3 for name in ember_families)


def test_no_new_wording_is_in_the_grammar() -> None:
    taught = {text for texts in PHRASES.values() for text in texts}
    assert not [text for text, _ in read_captions(SHIPPED, tuple(PHRASES)) if text in taught]


def test_a_file_may_have_comments_and_families_that_are_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("# mine\n\na big blaze\tfire\nbears\tanimals\n", encoding="utf-8-sig")
    assert read_captions(path, ["fire"]) == [("a big blaze", "fire")]


@pytest.mark.parametrize(
    ("content", "word"),
    [("no tab here\n", "line 1"), ("\tfire\n", "line 1"), ("bears\tanimals\n", "no caption"), ("", "no caption")],
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: str, word: str) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(content)
    with pytest.raises(CaptionsError, match=word) as caught:
        read_captions(path, ["fire"])
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "binary", tmp_path / "nothing"):
        with pytest.raises(CaptionsError, match="cannot be read"):
            read_captions(path, ["fire"])
