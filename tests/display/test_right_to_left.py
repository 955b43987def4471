"""Arabic and Hebrew on the HUD."""

from __future__ import annotations

import unicodedata

import pytest

from tpos_live.display.right_to_left import drawing_order


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("fire · 62%", "fire · 62%"),
        ("東京 🔥", "東京 🔥"),
        ("", ""),
        ("שלום עולם", "םלוע םולש"),
        ("look: שלום · autopilot", "look: םולש · autopilot"),
        ("שלום 123.5 (עולם)", "(םלוע) 123.5 םולש"),
        ("fire (שלום)", "fire (םולש)"),
        ("track 12 - שלום.mp3", "track 12 - םולש.mp3"),
    ],
)
def test_letters_are_turned_and_the_line_keeps_its_beginning(text: str, drawn: str) -> None:
    assert drawing_order(text) == drawn


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("سلام", ["MEEM ISOLATED", "LAM WITH ALEF FINAL", "SEEN INITIAL"]),
        ("مدينة", ["TEH MARBUTA FINAL", "NOON MEDIAL", "YEH INITIAL", "DAL FINAL", "MEEM INITIAL"]),
        ("لا", ["LAM WITH ALEF ISOLATED"]),
        ("بَب", ["BEH FINAL", "BEH INITIAL"]),
    ],
)
def test_arabic_letters_are_joined(text: str, forms: list[str]) -> None:
    """In drawing order, from left to right; a vowel mark does not separate two letters."""
    names = [unicodedata.name(letter) for letter in drawing_order(text)]
    assert [name.replace("ARABIC LETTER ", "").replace("ARABIC LIGATURE ", "") for name in names] == [
        f"{form} FORM" for form in forms
    ]


def test_any_text_is_survived() -> None:
    for text in ("\u202eשלום", "ש" * 3000, ")(ש", "\ud800ש", "ﻼ ش\u200dش", "١٢٣ ليلى ١٢"):
        assert len(drawing_order(text)) <= len(text)
