"""Emoji in prompts: a picture is read as its name in Unicode, `🔥` as `fire` and `🌊` as `water wave`."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200d\ufe0e\ufe0f"
"""What joins emoji, or says how they are drawn."""
_SKIN = range(0x1F3FB, 0x1F400)
"""Modifiers of the skin's colour."""
_PICTURES = (range(0x2600, 0x2800), range(0x1F000, 0x20000))
"""Code points: not signs of text, such as ® and №."""
_NEWER = {"\U0001fabc": "jellyfish"}
"""Names that the Unicode of Python 3.11 does not have yet."""


def spelled_out(prompt: str) -> str:
    """`prompt` with every picture as its name, lower case; a text without any is returned unchanged. A picture that
    this Python's Unicode does not know stays."""
    if prompt.isascii():
        return prompt
    names = {letter: _name(letter) for letter in dict.fromkeys(prompt)}
    if not any(names.values()):
        return prompt
    parts = []
    for letter in prompt:
        if name := names[letter]:
            parts.append(f" {name} ")
            names[letter] = " "  # once: 🔥🔥🔥 is fire, too
        elif letter not in _JOINERS:
            parts.append(letter)
    return " ".join("".join(parts).split())


def _name(letter: str) -> str:
    if not any(ord(letter) in pictures for pictures in _PICTURES):
        return ""
    if ord(letter) in _SKIN:
        return " "
    return _NEWER.get(letter) or unicodedata.name(letter, "").lower().replace("-", " ")
