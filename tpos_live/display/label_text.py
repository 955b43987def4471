"""Texts of the HUD: shortens them, chooses fonts that have their letters, and puts them in drawing order."""

from __future__ import annotations

import sys
import textwrap
import unicodedata
from bisect import bisect_right
from itertools import accumulate

import pyglet

from tpos_live.display.right_to_left import drawing_order

FONTS = ("Inter", "Segoe UI", "SF Pro Text", "Helvetica Neue", "DejaVu Sans", "Liberation Sans")
EAST_ASIAN = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Source Han Sans", "IPAGothic", "TakaoGothic", "VL Gothic",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "NanumGothic",
)  # fmt: skip
"""CJK fonts of Linux that also have Latin letters: pyglet (FreeType) draws all letters of a text from one font
there."""


def place(label: pyglet.text.Label, text: str, x: float, y: float) -> None:
    """Change only what differs: every change triggers a new layout."""
    _write_text(label, ordered(text))
    if (label.x, label.y) != (x, y):
        label.position = (x, y, 0)


def ordered(text: str) -> str:
    """The text in drawing order. Windows and macOS reorder and join letters themselves."""
    return "\n".join(map(drawing_order, text.split("\n"))) if sys.platform == "linux" else text


def _write_text(label: pyglet.text.Label, text: str) -> None:
    """Change the text if it differs, in fonts that have its letters."""
    if label.text == text:
        return
    fonts = fonts_for(text)
    if label.font_name != fonts:
        label.font_name = fonts
    label.text = text


def fonts_for(text: str) -> tuple[str, ...]:
    """The fonts that a text is drawn with; the first that is installed counts."""
    wide = sys.platform == "linux" and any(map(_is_wide, text))
    return (*EAST_ASIAN, *FONTS) if wide else FONTS


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) == "W"


def columns(width: int, size: int) -> int:
    """Letters of a font size (points) that fit into a window of `width` pixels; at least 20."""
    return max(20, int(width / (0.7 * size)))


def wrapped(text: str, most: int) -> str:
    """The text in at most three lines of `most` letters."""
    return "\n".join(textwrap.wrap(text, most, max_lines=3, placeholder=" …"))


def shorten(text: str, most: int) -> str:
    """The text in one line, cut off at the width of `most` average letters."""
    text = " ".join(text.split())
    widths = list(accumulate(map(_width, text)))
    if not text or widths[-1] <= most:
        return text
    return text[: bisect_right(widths, most - 1)] + "…"


def _width(letter: str) -> float:
    """Width of a letter in a font such as DejaVu Sans, in widths of an average small letter."""
    if _is_wide(letter):
        return 2.0
    return 1.7 if letter in "mMW%@" else 1.3 if letter.isupper() or letter == "w" else 1.0
