"""Further words of families, for matching prompts only, not for captions: `near_words.toml` beside this file.

Small text encoders do not know words like *himalaya* or *squall*. MiniLM itself in place of Ember's text encoder
matches no more of the held-out words (21 of 30), and a classifier on its vectors of 27,000 definitions of WordNet
matches 22. So the words are listed by hand.
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
"""Name of the file's table of second choices."""


@lru_cache(maxsize=1)
def _file() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def near_words() -> dict[str, list[str]]:
    """Words, in lower case, by the family that shows them best; each word is in one family."""
    return {name: list(words) for name, words in _file().items() if name != _NEXT}


def next_best() -> dict[str, list[str]]:
    """Words by the family that is their second choice, for engines that do not offer their own family.

    Where a word is in several offered families, the first counts. Phrases of more than LONGEST words are left out,
    because prompts are searched for shorter ones only.
    """
    own = near_words()
    found = {}
    for name, part in _file()[_NEXT].items():
        whole = [text for family in part.get("families", ()) for text in (*FAMILIES[family].phrases, *own[family])]
        short = [text.lower() for text in whole if len(text.split()) <= LONGEST]
        found[name] = list(dict.fromkeys((*short, *part.get("words", ()))))
    return found


def words_for(offered: Sequence[str]) -> dict[str, list[str]]:
    """Near words by family, for an engine that offers the families `offered`: their own words and those of families
    that are not offered.

    No word is in two families, and no second choice is a phrase or a held-out word of an offered family.
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
