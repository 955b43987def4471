"""Puts Arabic and Hebrew into drawing order: on Linux, pyglet (FreeType) draws letters from left to right and does not
join them.

The bidirectional algorithm of Unicode (UAX 9) for one line, without embeddings; Arabic letters take their joined forms
(Arabic Presentation Forms-B), and vowel marks are left out.
"""

from __future__ import annotations

import re
import unicodedata

_RIGHT = ("R", "AL")
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_LAM = "\u0644"


def begins_at_right(text: str) -> bool:
    """Whether the first letter with a direction is Arabic or Hebrew (rules P2 and P3)."""
    kinds = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind for kind in kinds if kind in (*_RIGHT, "L")), "L") in _RIGHT


def drawing_order(text: str, from_right: bool) -> str:
    """`text` from left to right as it is to be drawn; unchanged without such letters in a line that begins at the left.

    from_right: the line begins at the right; of all lines of a text it is `begins_at_right` of the whole text.
    """
    kinds = [unicodedata.bidirectional(letter) for letter in text]
    if not from_right and not any(kind in _RIGHT for kind in kinds):
        return text
    joined = _joined("".join(letter for letter, kind in zip(text, kinds, strict=True) if kind != "NSM"))
    parts = [_reversed(part) if right else part for part, right in _runs(joined, from_right)]
    return "".join(parts[::-1] if from_right else parts)


def _runs(text: str, from_right: bool) -> list[tuple[str, bool]]:
    """Runs of one direction; True: from right to left. Signs take the direction of what is around them; between both
    directions, and at the ends, that of the line (rules N1 and N2)."""
    directions = _directions(text, from_right)
    parts: list[tuple[str, bool]] = []
    before = from_right
    for at, (letter, own) in enumerate(zip(text, directions, strict=True)):
        after = next((right for right in directions[at:] if right is not None), from_right)
        before = before if own is None else own
        right = before if before == after else from_right
        if parts and parts[-1][1] == right:
            parts[-1] = (parts[-1][0] + letter, right)
        else:
            parts.append((letter, right))
    return parts


def _directions(text: str, from_right: bool) -> list[bool | None]:
    """Of each letter; None: a sign. European digits take the direction of the letters before them (W7), pairs of
    brackets that of the line, if anything between them has it, or else of what is before and between them (N0)."""
    found, strong = list[bool | None](), from_right
    for kind in map(unicodedata.bidirectional, text):
        strong = kind in _RIGHT if kind in (*_RIGHT, "L") else strong
        found.append(True if kind == "AN" else strong if kind in (*_RIGHT, "L", "EN") else None)
    for first, last in _pairs(text):
        between = {right for right in found[first + 1 : last] if right is not None}
        before = (
            next((right for right in found[first - 1 :: -1] if right is not None), from_right) if first else from_right
        )
        if between:
            found[first] = found[last] = from_right if from_right in between else before
    return found


def _pairs(text: str) -> list[tuple[int, int]]:
    """Positions of opening brackets and their closing ones, in order."""
    opened, pairs = list[tuple[int, str]](), list[tuple[int, int]]()
    for at, letter in enumerate(text):
        if letter in _BRACKETS:
            opened.append((at, _BRACKETS[letter]))
        for depth in reversed(range(len(opened))):
            if letter == opened[depth][1]:
                pairs.append((opened[depth][0], at))
                del opened[depth:]
                break
    return sorted(pairs)


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
