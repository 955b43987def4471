"""Words of families that no caption has, for matching prompts alone: `near_words.toml` beside this file.

A text encoder of MiniLM's size does not know what *himalaya* or *squall* is: as a matcher in place of Ember's, MiniLM
itself finds as few of the held-out words (21 of 30), and a classifier that learned its vectors of 27,000 definitions of
WordNet 22. So the words are listed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tpos_live.conditioning.vocabulary import LONGEST
from tpos_live.scenes.families import FAMILIES

_NEXT = "otherwise"
"""Table of the file: words by the family that is the next best."""


@lru_cache(maxsize=1)
def _file() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def near_words() -> dict[str, list[str]]:
    """Words by the family that shows them best, lower case; a word stands under one family."""
    return {name: list(words) for name, words in _file().items() if name != _NEXT}


def next_best() -> dict[str, list[str]]:
    """Words by the family that shows them where none that they belong to is offered; the first offered one counts.

    Phrases of more than LONGEST words are left out: they are no near words in a sentence.
    """
    own = near_words()
    found = {}
    for name, part in _file()[_NEXT].items():
        whole = [text for family in part.get("families", ()) for text in (*FAMILIES[family].phrases, *own[family])]
        short = [text.lower() for text in whole if len(text.split()) <= LONGEST]
        found[name] = list(dict.fromkeys((*short, *part.get("words", ()))))
    return found


def words_for(offered: Sequence[str]) -> dict[str, list[str]]:
    """Near words by family, for an engine that offers `offered`: their own, and those of families that are not offered.

    No word is under two families, and none that another family left is a phrase or a held-out word of an offered one.
    """
    own = near_words()
    found = {name: list(own.get(name, ())) for name in offered}
    taken = {text for words in found.values() for text in words} | _named(offered)
    for name, words in next_best().items():
        if name in found:
            free = [text for text in words if text not in taken]
            found[name] = sorted((*found[name], *free))
            taken |= set(free)
    return {name: words for name, words in found.items() if words}


def _named(offered: Collection[str]) -> set[str]:
    return {text.lower() for name in offered for text in (*FAMILIES[name].phrases, *FAMILIES[name].held_out)}
