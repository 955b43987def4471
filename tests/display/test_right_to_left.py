"""Arabic and Hebrew on the HUD."""

from __future__ import annotations

import unicodedata

import pytest

from tpos_live.display.label_text import ordered
from tpos_live.display.right_to_left import begins_at_right
from tpos_live.display.right_to_left import drawing_order as in_order


def drawing_order(text: str) -> str:
    return in_order(text, begins_at_right(text))


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
    ("text", "drawn"),
    [
        ("שלום with fire", "with fire םולש"),
        ("שלום, with fire, עולם 2026", "2026 םלוע ,with fire ,םולש"),
        ("שלום (fire) עולם", "םלוע (fire) םולש"),
        ("12 שלום fire 34!", "!fire 34 םולש 12"),
        ("שלום.", ".םולש"),
        ("fire שלום 12 sea", "fire 12 םולש sea"),
        ("שלום fire ١٢", "١٢ fire םולש"),
        ("fire (שלום) 12", "fire (םולש) 12"),
        ("fire sea (neon שלום)", "fire sea (neon םולש)"),
        ("שלום fire (sea עולם)", "(םלוע sea) fire םולש"),
    ],
)
def test_the_first_letter_with_a_direction_decides_where_the_line_begins(text: str, drawn: str) -> None:
    assert drawing_order(text) == drawn


def test_all_lines_of_a_text_begin_at_the_same_side() -> None:
    """A text is broken into lines first: a line of a Hebrew text can begin with a Latin word."""
    assert ordered("שלום\nfire, עולם") == "םולש\nםלוע ,fire"
    assert ordered("fire\nשלום, sea") == "fire\nםולש, sea"
    assert ordered("שלום\nfire.") == "םולש\n.fire"


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
