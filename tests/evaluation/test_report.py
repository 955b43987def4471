"""Figures, tables, and the place for them in a model card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tpos_live.evaluation.metrics.report import BEGIN, END, CardError, Figure, markdown_table, text_table, write_card


@pytest.mark.parametrize(
    ("figure", "passed"),
    [
        (Figure("a", 0.95, 0.95), True),
        (Figure("a", 0.9, 0.95), False),
        (Figure("a", 0.1, 0.1, least=False), True),
        (Figure("a", 0.2, 0.1, least=False), False),
        (Figure("a", 0.2), None),
        (Figure("a", float("nan"), 0.1, least=False), False),
    ],
)
def test_a_bar_is_reached_from_its_side(figure: Figure, passed: bool | None) -> None:
    assert figure.passed is passed


def test_rows_are_json_whatever_was_measured() -> None:
    for value in (0.5, float("nan"), float("inf")):
        row = json.loads(json.dumps(Figure("a", value, 1.0).row(), allow_nan=False))
        assert row["name"] == "a" and row["bar"] == 1.0


def test_tables_hold_value_bar_and_verdict() -> None:
    figures = [
        Figure("scene", 0.953, 0.95, unit="%", n=288, note="worst: storm"),
        Figure("memory", 0.9, 1.5, False, "GB"),
    ]
    assert "95.3 %" in markdown_table(figures) and "≥ 95.0 %" in markdown_table(figures)
    assert "| memory | 0.9 GB | ≤ 1.5 GB | yes |" in markdown_table(figures)
    assert "worst: storm" in text_table(figures) and len(text_table(figures).splitlines()) == 3


def test_a_card_keeps_what_people_wrote(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(f"# Ember\n\nby hand\n\n{BEGIN}\nold\n{END}\n\nlimits\n", encoding="utf-8")
    write_card(card, "new")
    write_card(card, "newer")
    text = card.read_text(encoding="utf-8")
    assert text == f"# Ember\n\nby hand\n\n{BEGIN}\n\nnewer\n\n{END}\n\nlimits\n"


def test_a_card_without_a_place_stays_as_it_is(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    with pytest.raises(CardError, match="no model card"):
        write_card(card, "new")
    card.write_text("# Ember\n")
    with pytest.raises(CardError, match="no place"):
        write_card(card, "new")
    assert card.read_text() == "# Ember\n"
