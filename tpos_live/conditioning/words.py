"""From a typed prompt to plain words: other programs' syntax, emoji, accents, small words and typing errors.

`(fire:1.5)`, `((fire))`, `[ice]`, `a AND b`, `a BREAK b` and `<lora:x:1>` contain syntax of other programs. The engine
gets only the words, and the prompt report lists the removed syntax. `\\(` and `\\)` are literal brackets.

Emoji are replaced by their Unicode names, `🔥` by `fire` and `🌊` by `water wave`. Words are looked up in lower
case, without accents, with one kind of apostrophe.

A word that is no whole token of the tokenizer is corrected to a word of the engine's scenes at a Damerau-Levenshtein
distance of 1 (one letter added, missing, wrong, or two exchanged), `tunel` to `tunnel`; this covers 80 % of spelling
errors (Damerau, "A technique for computer detection and correction of spelling errors", 1964). The first letter must be
right, and no letter is added or removed at the end: `seams` does not become `beams`, nor `glassy` `glass`. The plural
of a known word is no error.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase

SMALL_WORDS = frozenset([
    "a", "an", "the", "and", "or", "of", "in", "on", "at", "over", "under", "with", "without", "to", "from", "into",
    "by", "for", "is", "are", "very", "some", "my", "your", "its", "it", "this", "that", "picture", "view", "image",
    "scene", "photo", "photograph", "cinematic", "beautiful", "through", "behind", "above", "below", "between",
    "like", "as", "made", "out", "off", "up", "down", "near", "inside", "around", "while", "where", "during", "full",
    "be", "are", "we", "i", "you", "he", "she", "they", "his", "her", "their", "our", "no", "not", "many", "more",
])  # fmt: skip
"""Words that name no subject: articles, prepositions, pronouns and the like."""
PREPOSITIONS = frozenset([
    "in", "on", "at", "over", "under", "into", "above", "below", "behind", "through", "beneath", "near",
])  # fmt: skip
"""Words that introduce where or when the subject of a prompt is."""
JOINTS = frozenset(["and", "with", "meets", "&", "+"])
"""Words between two subjects."""
SHORTEST = 5
"""Letters of the shortest word that is corrected: shorter words are similar to too many others."""
SHORTEST_WRONG = 7
"""The same for a wrong letter: `flakes` must not become `flames`."""

_LORA = re.compile(r"<(lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
_AND_BREAK = re.compile(r"(?<!\S)(AND|BREAK)(?!\S)")
_WEIGHT = re.compile(r"\s*:\s*[+-]?(\d+\.?\d*|\.\d+)\s*(?=[)\]])")
_BRACKETS = re.compile(r"(?<!\\)[()\[\]]")
_ESCAPED = re.compile(r"\\([()\[\]\\])")

_JOINER = "\u200d"
"""Zero width joiner: makes one emoji of two."""
_JOINERS = frozenset(_JOINER) | frozenset("\ufe0e\ufe0f\u20e3") | frozenset(map(chr, range(0xE0020, 0xE0080)))
"""Code points without a name of their own in a prompt: joiner, variation selectors, keycap, and tags of flags."""
_SKIN = range(0x1F3FB, 0x1F400)
"""Modifiers of the skin's colour."""
_FLAGS = range(0x1F1E6, 0x1F200)
"""Regional indicators: two of them are a flag."""
_EMOJI = (
    range(0x231A, 0x231C), range(0x23F0, 0x23F4), range(0x2600, 0x2800), range(0x2B1B, 0x2B1D), range(0x2B50, 0x2B56),
    range(0x1F000, 0x20000),
)  # fmt: skip
"""Code points of emoji, without text symbols such as ® and №."""
_COLOURED = "⚪⚫⬛⬜🖤🤍🏴🏳"
"""Emoji that really are black or white."""
_OF_SIGNS = ("black", "white", "heavy", "medium")
"""Words in the names of other emoji that mean filled, outlined or bold: ❤ is "heavy black heart"."""
_NEWER = {"\U0001fabc": "jellyfish"}
"""Names that the Unicode of Python 3.11 does not have yet."""
_LETTERS = str.maketrans({"’": "'", "‘": "'", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th",
                         "ł": "l", "ı": "i"})  # fmt: skip
"""Letters that NFKD does not decompose."""


@dataclass(frozen=True)
class Plain:
    """A prompt without syntax. text: its words. unused: kinds of removed syntax, each once."""

    text: str
    unused: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """One line that lists the removed syntax; "" where there was none."""
        return f"not used: {', '.join(self.unused)}" if self.unused else ""


def without_syntax(prompt: str) -> Plain:
    """`prompt`, any text, without syntax; brackets need not be balanced. A prompt without syntax stays unchanged."""
    unused: list[str] = []
    text, loras = _LORA.subn(" ", prompt)
    text, joints = _AND_BREAK.subn(",", text)
    text, weights = _WEIGHT.subn("", text)
    text, brackets = _BRACKETS.subn(" ", text)
    text, escaped = _ESCAPED.subn(r"\1", text)
    if weights or brackets:
        unused.append("weights in brackets")
    if joints:
        unused.extend(dict.fromkeys(found.group(1) for found in _AND_BREAK.finditer(prompt)))
    if loras:
        unused.append("<lora:…>, see docs/engines.md")
    if not unused and not escaped:
        return Plain(prompt)
    text = re.sub(r"\s+([,.;!?])", r"\1", " ".join(text.split()))
    return Plain(re.sub(r"(,\s*)+,", ",", text).strip(" ,"), tuple(unused))


def spelled_out(prompt: str) -> str:
    """`prompt` with each emoji replaced by its name in lower case, repeated emoji by one name, and `and` between two
    names. A text without emoji is returned unchanged. An emoji that this Python's Unicode does not know stays."""
    if prompt.isascii():
        return prompt
    names = {letter: _name(letter) for letter in dict.fromkeys(prompt)}
    if not any(names.values()):
        return prompt
    parts: list[str] = []
    used: set[str] = set()
    for before, letter in pairwise(f" {prompt}"):
        if name := names[letter]:
            joint = "" if not used or name.isspace() or before == _JOINER else "and "
            parts.append(" " if name in used else f" {joint}{name} ")
            used.add(name)
        elif letter not in _JOINERS:
            parts.append(letter)
    return " ".join("".join(parts).split())


def _name(letter: str) -> str:
    """The name of an emoji, " " for a skin colour, "" for other characters."""
    if not any(ord(letter) in emoji for emoji in _EMOJI):
        return ""
    if ord(letter) in _SKIN:
        return " "
    if ord(letter) in _FLAGS:
        return "flag"
    words = (_NEWER.get(letter, unicodedata.name(letter, ""))).lower().replace("-", " ").split()
    return " ".join(word for word in words if letter in _COLOURED or word not in _OF_SIGNS)


def plain_letters(text: str) -> str:
    """Lower case without accents: `Popocatépetl` becomes `popocatepetl`; letters of other scripts stay."""
    text = text.lower()
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return unicodedata.normalize("NFC", "".join(letter for letter in parts if not unicodedata.combining(letter)))


def plain_words(text: str) -> str:
    """The words of a text with one space between them and no punctuation."""
    return " ".join(re.sub(r"[^\w\s]", " ", plain_letters(text)).split())


class Spelling:
    """Corrects single words. Immutable: any thread may call it."""

    def __init__(self, texts: Iterable[str], written: Collection[str]) -> None:
        """texts: lower case; words are corrected to their words, of two at the same distance to the first. written:
        words that are never corrected, lower case; where empty, nothing is corrected, because names would be too."""
        words = (word for text in texts for word in re.findall(r"[a-z]+", text))
        self._rank = {word: at for at, word in reversed(list(enumerate(words))) if len(word) >= SHORTEST}
        self._longest = max(map(len, self._rank), default=0) + 1  # of a word with one letter too many
        self._written = frozenset(written)

    def __call__(self, word: str) -> str:
        """`word` (lower case), or its correction."""
        if not self._written or not SHORTEST <= len(word) <= self._longest or not re.fullmatch("[a-z]+", word):
            return word
        if any(form in self._written or form in self._rank for form in (word, word.removesuffix("s"))):
            return word
        return min((near for near in _one_edit(word) if near in self._rank), key=self._rank.__getitem__, default=word)


def _one_edit(word: str) -> Iterator[str]:
    """All words at one edit from `word` that may be meant; some more than once."""
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
    """Words that are whole tokens of an engine folder's tokenizer (WordPiece, lower case); empty for other kinds."""
    try:
        model = json.loads((folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
        return frozenset(model["vocab"]) if model["type"] == "WordPiece" else frozenset()
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
