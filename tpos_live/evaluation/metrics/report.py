"""Figures (a measured value with its threshold, "bar"), their tables, and the model card that holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: written by tpos-live evaluate -->", "<!-- end of figures -->"


class CardError(Exception):
    """A model card cannot be written; the message is one line."""


@dataclass(frozen=True)
class Figure:
    """A measured value. bar: its threshold, a minimum where `least` is True, else a maximum; None = no threshold.

    n: number of images or other samples. note: a short remark.
    """

    name: str
    value: float
    bar: float | None = None
    least: bool = True
    unit: str = ""
    n: int = 0
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the bar is reached; None where there is none."""
        if self.bar is None:
            return None
        if not math.isfinite(self.value):
            return False
        return self.value >= self.bar if self.least else self.value <= self.bar

    @classmethod
    def of(cls, row: dict[str, Any]) -> Figure:
        """The figure of a dictionary that `row` made. Raises KeyError, TypeError for other dictionaries."""
        given = {name: row[name] for name in ("name", "value", "bar", "least", "unit", "n", "note")}
        return cls(**given | {"value": float("nan") if row["value"] is None else float(row["value"])})

    def cells(self) -> tuple[str, str, str, str]:
        """Name, value, bar and verdict as the cells of a table."""
        bar = "" if self.bar is None else f"{'≥' if self.least else '≤'} {_number(self.bar, self.unit)}"
        verdict = {True: "yes", False: "**no**", None: ""}[self.passed]
        return self.name, _number(self.value, self.unit), bar, verdict

    def row(self) -> dict[str, Any]:
        """The figure as a dictionary for JSON."""
        value = self.value if math.isfinite(self.value) else None
        return {"kind": "figure", **asdict(self), "value": value, "passed": self.passed}


def _number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.1f} %"
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def text_table(figures: Sequence[Figure]) -> str:
    """The figures as a table for the terminal."""
    rows = [("FIGURE", "VALUE", "BAR", "REACHED", "N", "NOTE")]
    rows += [(*f.cells(), str(f.n or ""), f.note) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip()
        for row in rows
    ).replace("**", "  ")


def markdown_table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table for the model card."""
    lines = ["| figure | value | bar | reached | n | note |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join((*f.cells(), str(f.n or ''), f.note))} |" for f in figures]
    return "\n".join(lines)


def write_card(card: Path, section: str) -> None:
    """Replace the text between the two markers of a model card by `section`.

    Raises CardError where there is no card, no pair of markers, or no permission.
    """
    try:
        text = card.read_text(encoding="utf-8")
    except OSError as error:
        raise CardError(f"{card}: no model card to write to ({error.strerror})") from error
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise CardError(f"{card}: it has no place for figures; put the lines {BEGIN} and {END} in it")
    try:
        card.write_text(f"{head}{BEGIN}\n\n{section.strip()}\n\n{END}{tail}", encoding="utf-8")
    except OSError as error:
        raise CardError(f"{card}: cannot be written ({error.strerror})") from error
