"""Words as they are looked up: lower case, without accents, with one kind of apostrophe."""

from __future__ import annotations

import re
import unicodedata

_OTHERS = str.maketrans({"’": "'", "‘": "'", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th",
                         "ł": "l", "ı": "i"})  # fmt: skip
"""What Unicode does not take for a letter with an accent."""


def plain_letters(text: str) -> str:
    """`Popocatépetl` as `popocatepetl`; other scripts stay as they are."""
    text = text.lower()
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text.translate(_OTHERS))
    return unicodedata.normalize("NFC", "".join(letter for letter in parts if not unicodedata.combining(letter)))


def plain_words(text: str) -> str:
    """The words of a text with one space between them and no punctuation."""
    return " ".join(re.sub(r"[^\w\s]", " ", plain_letters(text)).split())
