"""Emoji in prompts: a picture is read as its name in Unicode, `🔥` as `fire` and `🌊` as `water wave`."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

_JOINER = "\u200d"
"""Makes one picture of two."""
_JOINERS = frozenset(_JOINER) | frozenset("\ufe0e\ufe0f\u20e3") | frozenset(map(chr, range(0xE0020, 0xE0080)))
"""What joins emoji, or says how they are drawn: also a key's frame, and the letters behind a region's flag."""
_SKIN = range(0x1F3FB, 0x1F400)
"""Modifiers of the skin's colour."""
_FLAGS = range(0x1F1E6, 0x1F200)
"""Letters of which two are a flag."""
_PICTURES = (
    range(0x231A, 0x231C), range(0x23F0, 0x23F4), range(0x2600, 0x2800), range(0x2B1B, 0x2B1D), range(0x2B50, 0x2B56),
    range(0x1F000, 0x20000),
)  # fmt: skip
"""Code points: not signs of text, such as ® and №."""
_COLOURED = "⚪⚫⬛⬜🖤🤍🏴🏳"
"""Are black or white."""
_OF_SIGNS = ("black", "white", "heavy", "medium")
"""Words of other names that say how the sign is drawn, filled or not: ❤ is "heavy black heart"."""
_NEWER = {"\U0001fabc": "jellyfish"}
"""Names that the Unicode of Python 3.11 does not have yet."""


def spelled_out(prompt: str) -> str:
    """`prompt` with every picture as its name, lower case, once, and `and` between two pictures; a text without any is
    returned unchanged. A picture that this Python's Unicode does not know stays."""
    if prompt.isascii():
        return prompt
    names = {letter: _name(letter) for letter in dict.fromkeys(prompt)}
    if not any(names.values()):
        return prompt
    parts: list[str] = []
    said: set[str] = set()
    for before, letter in pairwise(f" {prompt}"):
        if name := names[letter]:
            joint = "" if not said or name.isspace() or before == _JOINER else "and "
            parts.append(" " if name in said else f" {joint}{name} ")
            said.add(name)
        elif letter not in _JOINERS:
            parts.append(letter)
    return " ".join("".join(parts).split())


def _name(letter: str) -> str:
    if not any(ord(letter) in pictures for pictures in _PICTURES):
        return ""
    if ord(letter) in _SKIN:
        return " "
    if ord(letter) in _FLAGS:
        return "flag"
    words = (_NEWER.get(letter, unicodedata.name(letter, ""))).lower().replace("-", " ").split()
    return " ".join(word for word in words if letter in _COLOURED or word not in _OF_SIGNS)
