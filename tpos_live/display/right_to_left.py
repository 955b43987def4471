"""Puts Arabic and Hebrew into drawing order: on Linux, pyglet (FreeType) draws letters from left to right and does not
join them.

The bidirectional algorithm of Unicode (UAX 9) for one line that begins at the left, without embeddings; Arabic letters
take their joined forms (Arabic Presentation Forms-B), and vowel marks are left out.
"""

from __future__ import annotations

import re
import unicodedata

_RIGHT = ("R", "AL")
_NUMBERS = ("EN", "AN")
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")
_LAM = "\u0644"


def drawing_order(text: str) -> str:
    """`text` from left to right as it is to be drawn; a text without such letters is returned unchanged."""
    kinds = [unicodedata.bidirectional(letter) for letter in text]
    if not any(kind in _RIGHT for kind in kinds):
        return text
    joined = _joined("".join(letter for letter, kind in zip(text, kinds, strict=True) if kind != "NSM"))
    return "".join(_reversed(part) if right else part for part, right in _runs(joined))


def _runs(text: str) -> list[tuple[str, bool]]:
    """Runs of one direction; True: from right to left. Signs and numbers take the direction of the letters around them,
    a closing bracket that of its opening one; the ends of the line are from left to right."""
    kinds = [unicodedata.bidirectional(letter) for letter in text]
    strong = [kind in _RIGHT if kind in (*_RIGHT, "L") else None for kind in kinds]
    before = False
    rights: list[bool] = []
    opened: list[bool] = []
    for at, (letter, own) in enumerate(zip(text, strong, strict=True)):
        after = next((right for right in strong[at:] if right is not None), False)
        before = before if own is None else own
        right = before if own is not None or kinds[at] in _NUMBERS else before and after
        if letter in "([{":
            opened.append(right)
        elif letter in ")]}" and opened:
            right = opened.pop()
        rights.append(right)
    parts: list[tuple[str, bool]] = []
    for letter, right in zip(text, rights, strict=True):
        if parts and parts[-1][1] == right:
            parts[-1] = (parts[-1][0] + letter, right)
        else:
            parts.append((letter, right))
    return parts


def _reversed(part: str) -> str:
    turned = part[::-1].translate(_MIRRORED)
    return re.sub(r"\d+([.,:]\d+)*", lambda number: number.group()[::-1], turned)


def _joined(text: str) -> str:
    """Arabic letters in their joined forms, in reading order."""
    letters = list(_ligatures(text))
    joins_before = [bool(_form(letter, "FINAL")) for letter in letters] + [False]
    joins_after = [bool(_form(letter, "INITIAL")) for letter in letters] + [False]
    return "".join(
        _form(letter, _FORMS[joins_before[at] and joins_after[at - 1], joins_after[at] and joins_before[at + 1]])
        or letter
        for at, letter in enumerate(letters)
    )


_FORMS = {(False, False): "ISOLATED", (True, False): "FINAL", (False, True): "INITIAL", (True, True): "MEDIAL"}
"""Form of a letter by (joined to the previous letter, joined to the next letter)."""


def _ligatures(text: str) -> str:
    """Lam and alef as one sign, in its isolated form."""
    return re.sub(f"{_LAM}[\u0622\u0623\u0625\u0627]", lambda pair: _lam_with(pair.group()[1]), text)


def _lam_with(alef: str) -> str:
    kind = unicodedata.name(alef).removeprefix("ARABIC LETTER ")
    return unicodedata.lookup(f"ARABIC LIGATURE LAM WITH {kind} ISOLATED FORM")


def _form(letter: str, form: str) -> str:
    """The letter in this form; "" where it has none."""
    name = unicodedata.name(letter, "").removesuffix(" ISOLATED FORM")
    if not name.startswith(("ARABIC LETTER ", "ARABIC LIGATURE LAM WITH ALEF")):
        return ""
    try:
        return unicodedata.lookup(f"{name} {form} FORM")
    except KeyError:
        return ""
