"""Texts of the HUD: shortens them, chooses fonts that have their letters, and puts them in drawing order."""

from __future__ import annotations

import sys
import unicodedata
from bisect import bisect_right
from itertools import accumulate

import pyglet

from tpos_live.display.right_to_left import begins_at_right, drawing_order

FONTS = ("Inter", "Segoe UI", "SF Pro Text", "Helvetica Neue", "DejaVu Sans", "Liberation Sans")
EAST_ASIAN = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Source Han Sans", "IPAGothic", "TakaoGothic", "VL Gothic",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "NanumGothic",
)  # fmt: skip
"""CJK fonts of Linux that also have Latin letters: pyglet (FreeType) draws all letters of a text from one font
there."""
BASE = 720
"""Shorter side, in pixels, of a window whose texts have their plain size."""
WIDEST = 440
"""Width of the HUD with its margins at that size, in pixels."""


def place(label: pyglet.text.Label, text: str, x: float, y: float) -> None:
    """Change only what differs: every change triggers a new layout."""
    _write_text(label, ordered(text))
    if (label.x, label.y) != (x, y):
        label.position = (x, y, 0)


def ordered(text: str) -> str:
    """The text in drawing order. Windows and macOS reorder and join letters themselves."""
    if sys.platform != "linux":
        return text
    from_right = begins_at_right(text)
    return "\n".join(drawing_order(line, from_right) for line in text.split("\n"))


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


def text_scale(window: tuple[int, int]) -> float:
    """Factor on all sizes of texts for a window of (width, height) pixels, in quarters from 1 on: 1.5 at 1920x1080 and
    3 at 3840x2160. Below 1 only where the HUD is wider than the window."""
    large = int(4 * min(window) / BASE) / 4
    return min(max(large, 1.0), window[0] / WIDEST)


def columns(width: float, size: float) -> int:
    """Letters of a font size (points) that fit into `width` pixels; at least 20."""
    return max(20, int(width / (0.8 * size)))  # a point is 4/3 pixels


def wrapped(text: str, most: int, rows: int = 3) -> str:
    """The text in at most `rows` lines, each at most as wide as `most` average letters. A line ends between two words
    where it can."""
    rest, lines = " ".join(text.split()), list[str]()
    while len(lines) < rows - 1 and (end := _fitting(rest, most)) < len(rest):
        end = (rest.rfind(" ", 0, end + 1) + 1) or max(end, 1)
        lines.append(rest[:end].rstrip())
        rest = rest[end:]
    return "\n".join([*lines, shorten(rest, most)])


def shorten(text: str, most: int) -> str:
    """The text in one line, cut off at the width of `most` average letters."""
    text = " ".join(text.split())
    return text if _fitting(text, most) == len(text) else text[: _fitting(text, most - 1)] + "…"


def _fitting(text: str, most: float) -> int:
    """Number of letters from the first one on that are together at most as wide as `most` average letters."""
    return bisect_right(list(accumulate(map(_width, text))), most)


def _width(letter: str) -> float:
    """Width of a letter in DejaVu Sans, the widest of FONTS, in widths of an average small letter: 0.6 of the size."""
    if _is_wide(letter):
        return 2.0
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    return 1.3 if letter.isupper() else 1.0


_WIDTHS = {
    **dict.fromkeys(" .,:;'|!·iIjlJ", 0.56),
    **dict.fromkeys('"()[]/-frt', 0.68),
    **dict.fromkeys("w+=<>~", 1.4),
    **dict.fromkeys("mMW%@…", 1.7),
}
