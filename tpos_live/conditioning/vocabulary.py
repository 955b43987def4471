"""What an engine understands of a prompt: its vocabulary, and the nearest entry for every word.

An engine that was taught a known set of things lists them in `vocabulary.json` beside its weights: phrases
of every family, colour, style and mood. Words that are no such phrase land on the nearest one in the
space of the engine's own sentence vectors, and a word that is near to nothing is named, so that nobody
waits for a samurai. Such a prompt can also be retold: drawn from the words that the engine knows. A prompt that is far
from all of them is drawn as the nearest family that is bright and clear, in the colours that it names or implies
(`implied.py`), and what is said of it is what is drawn: each of its words is in the picture, or named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from tpos_live.conditioning.implied_colours import implied_colours

VOCABULARY_FILE = "vocabulary.json"
KINDS = ("family", "colour", "style", "mood")
"""Sections of the file, in the order in which they are told."""
NEAR = 0.65
"""Cosine from which a word counts as understood. Of thirty animals, tools and trades that Ember cannot draw 28 lie
below; of eighty synonyms that no caption has, 48 lie above, and the others are drawn as what they are nearest to."""
CLEAR = "clear"
"""Section of the file: names of families whose pictures are bright and clear."""
SURE = 0.8
"""Cosine from which words name a second family too."""
WRITTEN = 0.9
"""Cosine from which a word is as good as written out, so that its family is drawn whatever the rest says."""
_BRIGHT = "bright"
"""The mood of what is drawn instead, where the prompt has none."""
MOST_WORDS = 24
"""Words that are looked at; more than any engine here reads."""
LONGEST = 3
"""Words of the longest phrase that is looked for."""
_TOGETHER = 3
"""Phrases of a family that speak for it together."""
_BATCH = 128
_NAMED = 3
_SMALL_WORDS = frozenset([
    "a", "an", "the", "and", "or", "of", "in", "on", "at", "over", "under", "with", "without", "to", "from", "into",
    "by", "for", "is", "are", "very", "some", "my", "your", "its", "it", "this", "that", "picture", "view", "image",
    "scene", "photo", "photograph", "cinematic", "beautiful", "through", "behind", "above", "below", "between",
    "like", "as", "made", "out", "off", "up", "down", "near", "inside", "around", "while", "where", "during", "full",
    "be", "are", "we", "i", "you", "he", "she", "they", "his", "her", "their", "our", "no", "not", "many", "more",
])  # fmt: skip

Sentences = Callable[[list[str]], torch.Tensor]
"""Texts to sentence vectors, float [texts, dim]."""


@dataclass(frozen=True)
class PromptMatch:
    """What of a prompt an engine understands. near: cosine of the family's nearest phrase, in [-1, 1].

    families: those that are drawn, nearest first; none only for a prompt without words. others: colours, styles and
    moods that are drawn. missed: words that are not drawn. cut: there were more words than are looked at.
    instead: the prompt is far from every family, and the nearest bright and clear one is drawn.
    """

    families: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    near: float = 0.0
    missed: tuple[str, ...] = ()
    cut: bool = False
    instead: bool = False

    def __str__(self) -> str:
        """One line: `city at night · neon (0.61); not understood: samurai`."""
        parts = []
        if self.families:
            names = " + ".join(name.replace("_", " ") for name in self.families)
            drawn = "drawn instead: " if self.instead else ""
            parts.append(f"{drawn}{' · '.join((names, *self.others))} ({self.near:.2f})")
        if self.missed:
            more = f" and {len(self.missed) - _NAMED} more" if len(self.missed) > _NAMED else ""
            parts.append(f"not understood: {', '.join(word[:24] for word in self.missed[:_NAMED])}{more}")
        if self.cut:
            parts.append("the rest is too long")
        return "; ".join(parts)


@dataclass(frozen=True)
class _Match:
    """Words from `start` to `end` of a prompt, and the entry they are nearest to."""

    start: int
    end: int
    entry: int
    near: float


class Vocabulary:
    """The phrases of an engine and their vectors. Immutable: any thread may ask."""

    def __init__(
        self,
        phrases: Mapping[str, Mapping[str, Sequence[str]]],
        sentences: Sentences,
        clear: Sequence[str] = (),
    ) -> None:
        """phrases: by kind and name, at least one family. clear: the families that are bright and clear; none means
        all. Encodes all phrases: tens of milliseconds."""
        self._clear = frozenset(clear) & phrases["family"].keys() or frozenset(phrases["family"])
        self._colours = frozenset(phrases.get("colour", ()))
        self._moods = frozenset(phrases.get("mood", ()))
        self._sentences = sentences
        rows = [(kind, name, text) for kind in KINDS for name, texts in phrases.get(kind, {}).items() for text in texts]
        self._entries = [(kind, name) for kind, name, _ in rows]
        self._exact = {text.lower(): at for at, (_, _, text) in reversed(list(enumerate(rows)))}
        self._vectors = self._encode([text for _, _, text in rows])
        self._longest_first = sorted(filter(None, self._exact), key=len, reverse=True)
        self._plainest = {name: texts[0].lower() for name, texts in phrases.get("family", {}).items() if texts}

    def match(self, prompt: str) -> PromptMatch:
        """What of `prompt`, any text of any length, is understood."""
        words = [match.group() for match in islice(re.finditer(r"\S+", prompt), MOST_WORDS + 1)]
        cut = len(words) > MOST_WORDS
        words = words[:MOST_WORDS]
        bare = [word.lower().strip(".,;:!?\"'()[]{}") for word in words]
        known = [bool(re.search(r"[a-z]", word)) for word in bare]
        if not any(known):
            return PromptMatch(missed=tuple(dict.fromkeys(words)), cut=cut)
        spans = [
            (start, end)
            for start in range(len(words))
            for end in range(start + 1, min(start + LONGEST, len(words)) + 1)
            if all(known[start:end]) and not all(word in _SMALL_WORDS for word in bare[start:end])
        ]
        whole = " ".join(word for word, is_known in zip(bare, known, strict=True) if is_known)
        texts = [whole, *(" ".join(bare[start:end]) for start, end in spans)]
        cosines = self._encode(texts) @ self._vectors.T
        for row, text in enumerate(texts):
            if text in self._exact:
                cosines[row, self._exact[text]] = 1.0 + 1e-3  # what is written out wins over what is like it
        matches = self._match(spans, cosines[1:])
        found: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
        for match in matches:
            kind, name = self._entries[match.entry]
            found[kind][name] = max(match.near, found[kind].get(name, 0.0))
        families = self._families(found["family"], cosines)
        said = " ".join(re.sub(r"[^\w\s]", " ", prompt.lower()).split())
        instead = False
        if not self._taught(said):
            families, instead = self._drawn(families, found["family"], said, cosines)
            if not found["colour"]:
                found["colour"] = dict.fromkeys(implied_colours(bare, self._colours), 1.0)
            if _BRIGHT in self._moods and not found["mood"] and (instead or families[0] not in self._clear):
                found["mood"] = {_BRIGHT: 1.0}
        drawn = {("family", name) for name in families} | {(kind, name) for kind in KINDS[1:] for name in found[kind]}
        shown = [match for match in matches if self._entries[match.entry] in drawn]
        covered = {at for match in shown for at in range(match.start, match.end)}
        missed = [
            words[at].strip(".,;:!?\"'()[]{}") or words[at]
            for at in range(len(words))
            if at not in covered and bare[at] not in _SMALL_WORDS and re.search(r"\w", bare[at])
        ]
        others = [name.replace("_", " ") for kind in KINDS[1:] for name in found[kind]]
        near = min(float(cosines[0, self._rows(families[0])].max()), 1.0)
        return PromptMatch(families, tuple(others), near, tuple(dict.fromkeys(missed)), cut, instead)

    def rewrite(self, prompt: str) -> str:
        """The prompt in words that the engine was taught: `a hearth in neon` is told as `neon fire`.

        A prompt of such words alone stays as it is, and so does one in which nothing is understood. A second scene is
        told where its plainest name is written out; what merely is like one is left out, for one word in a
        sentence often is.
        """
        understood = self.match(prompt)
        said = " ".join(re.sub(r"[^\w\s]", " ", prompt.lower()).split())
        if not understood.families or self._taught(said):
            return prompt
        return " ".join((*understood.others, " and ".join(self._plainest[name] for name in understood.families)))

    def _taught(self, said: str) -> bool:
        """Nothing is left of `said` without the phrases that the engine was taught and small words."""
        for text in self._longest_first:
            said = re.sub(rf"\b{re.escape(text)}\b", " ", said)
        return all(word in _SMALL_WORDS for word in said.split())

    def _families(self, named: dict[str, float], cosines: torch.Tensor) -> tuple[str, ...]:
        """The family nearest to the whole prompt, by its three nearest phrases, then others that are named.

        One phrase alone is often merely spelled alike. Of 157 sentences in new wording 87 % find their family so, 82 %
        by the single nearest phrase and word.
        """
        whole, entry = cosines[0].max(0)
        kind, name = self._entries[int(entry)]
        first = name if kind == "family" and whole > 1.0 else self._nearest(cosines, self._plainest)
        second = [name for name, near in named.items() if near >= SURE and name != first]
        return (first, *second)

    def _drawn(
        self, families: tuple[str, ...], named: dict[str, float], said: str, cosines: torch.Tensor
    ) -> tuple[tuple[str, ...], bool]:
        """Those of `families` that a retold prompt has, and whether they stand for a prompt that is far from all.

        A second family only where its plainest name is written out.
        """
        first = families[0]
        near = float(cosines[0, self._rows(first)].max())
        by_near = sorted(named, key=named.__getitem__, reverse=True)
        written = [name for name in by_near if named[name] >= WRITTEN]
        clear = [name for name in by_near if name in self._clear]
        if near < NEAR and not written and not clear:
            return (self._nearest(cosines, self._clear),), True
        if written and first not in written:
            first = written[0]
        if clear and first not in self._clear:
            first = clear[0]
        kept = [name for name in (*families, *written) if name != first and _holds(said, self._plainest[name])]
        # Two scenes share the light of a picture: beside one that is dim, another dim one is not seen.
        kept = [name for name in kept if first in self._clear or name in self._clear]
        return tuple(dict.fromkeys((first, *kept))), False

    def _nearest(self, cosines: torch.Tensor, among: Collection[str]) -> str:
        """The family of `among` whose three nearest phrases are nearest to the whole prompt."""
        near = {name: cosines[0, self._rows(name)] for name in self._plainest if name in among}
        best = {name: float(row.topk(min(_TOGETHER, len(row))).values.mean()) for name, row in near.items()}
        return max(best, key=best.__getitem__)

    def _rows(self, family: str) -> list[int]:
        return [at for at, entry in enumerate(self._entries) if entry == ("family", family)]

    def _match(self, spans: list[tuple[int, int]], cosines: torch.Tensor) -> list[_Match]:
        """The best match of every stretch of words, best and longest first, without overlaps."""
        if not spans:
            return []
        near, entry = cosines.max(1)
        matches = [_Match(*span, int(at), float(n)) for span, n, at in zip(spans, near, entry, strict=True)]
        matches.sort(key=lambda match: (-round(match.near, 2), match.start - match.end))
        csls_weight: set[int] = set()
        kept = []
        for match in matches:
            here = set(range(match.start, match.end))
            if match.near >= NEAR and not here & csls_weight:
                csls_weight |= here
                kept.append(match)
        return kept

    def _encode(self, texts: list[str]) -> torch.Tensor:
        parts = [self._sentences(texts[at : at + _BATCH]).float().cpu() for at in range(0, len(texts), _BATCH)]
        return torch.nn.functional.normalize(torch.cat(parts), dim=-1)


def _holds(said: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(text)}\b", said) is not None


def load_vocabulary(folder: Path, sentences: Sentences) -> Vocabulary | None:
    """The vocabulary of an engine folder; None where it has none, or a damaged one.

    sentences: the engine's. A file that cannot be read costs one line of text, never a show.
    """
    phrases = _read(folder)
    if phrases is None:
        return None
    clear = [name for name in phrases.get(CLEAR, {}).get("family", ()) if isinstance(name, str)]
    return Vocabulary(phrases, sentences, clear)


def offered_scenes(folder: Path) -> frozenset[str] | None:
    """The phrases of the families that an engine folder offers; None where it does not say."""
    phrases = _read(folder)
    return None if phrases is None else frozenset(text for texts in phrases["family"].values() for text in texts)


def _read(folder: Path) -> dict[str, dict[str, list[str]]] | None:
    try:
        phrases = json.loads((folder / VOCABULARY_FILE).read_text(encoding="utf-8"))
        valid = all(isinstance(text, str) for kind in KINDS for texts in phrases[kind].values() for text in texts)
        clear = phrases.get(CLEAR, {}).get("family", ())
        return phrases if valid and phrases["family"] and isinstance(clear, (list, tuple)) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
