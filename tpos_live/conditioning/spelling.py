"""Typing errors in prompts: `tunel` is read as `tunnel`.

A word that the tokenizer does not know as a whole is taken for a word of the engine's scenes where one letter too many,
one too few, one wrong or two exchanged make the difference (Damerau, "A technique for computer detection and correction
of spelling errors", 1964: 80 % of such errors). The first letter must be right, and no last letter is added or left
out: `seams` are no `beams`, and `glassy` is no `glass`. A plural of a known word is no error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from string import ascii_lowercase

SHORTEST = 5
"""Letters of the shortest word that is corrected: shorter ones are near to too many others."""
SHORTEST_WRONG = 7
"""The same for a wrong letter: `flakes` are no `flames`."""


class Spelling:
    """Corrects single words. Immutable: any thread may call it."""

    def __init__(self, texts: Iterable[str], written: Collection[str]) -> None:
        """texts: what a prompt may mean, lower case; of two words that are as near, the first counts. written: words
        that are never corrected, lower case; none means that nothing is corrected, as nothing tells errors from names.
        """
        words = (word for text in texts for word in re.findall(r"[a-z]+", text))
        self._rank = {word: at for at, word in reversed(list(enumerate(words))) if len(word) >= SHORTEST}
        self._longest = max(map(len, self._rank), default=0) + 1  # of a word with one letter too many
        self._written = frozenset(written)

    def __call__(self, word: str) -> str:
        """`word`, lower case, or what it was to be."""
        if not self._written or not SHORTEST <= len(word) <= self._longest or not re.fullmatch("[a-z]+", word):
            return word
        if any(form in self._written or form in self._rank for form in (word, word.removesuffix("s"))):
            return word
        return min((near for near in _one_edit(word) if near in self._rank), key=self._rank.__getitem__, default=word)


def _one_edit(word: str) -> Iterator[str]:
    for at in range(1, len(word)):
        head, tail = word[:at], word[at:]
        if len(tail) > 1:
            yield head + tail[1:]
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in ascii_lowercase:
            yield head + letter + tail
            if len(tail) > 1 and len(word) >= SHORTEST_WRONG:
                yield head + letter + tail[1:]


def whole_words(folder: Path) -> frozenset[str]:
    """Words that the tokenizer of an engine folder (WordPiece, lower case) knows as a whole; none for another one."""
    try:
        model = json.loads((folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
        return frozenset(model["vocab"]) if model["type"] == "WordPiece" else frozenset()
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
