"""Which words of a prompt match which phrases of an engine, and the result of a prompt's match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from tpos_live.conditioning.words import JOINTS, PREPOSITIONS, SMALL_WORDS

_NAMED = 3
"""Number of words without effect that the line lists; the others are only counted."""
NEAR = 0.65
"""Cosine from which a word counts as understood. Of 30 animals, tools and trades that Ember cannot draw, 28 are below;
of 80 synonyms that are in no caption, 48 are above. The other 32 are drawn as their nearest phrase."""


@dataclass(frozen=True)
class PromptMatch:
    """What an engine understands of a prompt.

    families: the families that are drawn, best match first; empty only for a prompt without words. others: colours,
    styles and moods that are drawn. near: cosine of the first family's nearest phrase, -1 to 1. missed: words that are
    not drawn. cut: the prompt has more words than are analysed. instead: the prompt is far from every family, so a
    substitute is drawn. taught: the prompt consists of phrases from the engine's training and of small words.
    """

    families: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    near: float = 0.0
    missed: tuple[str, ...] = ()
    cut: bool = False
    instead: bool = False
    taught: bool = False
    in_order: tuple[str, ...] = ()
    """The families, in the order of the prompt."""

    def __str__(self) -> str:
        """One line: `city at night · neon (0.61); not understood: samurai`."""
        parts = []
        if self.in_order:
            names = " + ".join(name.replace("_", " ") for name in self.in_order)
            drawn = "drawn instead: " if self.instead else ""
            parts.append(f"{drawn}{' · '.join((names, *self.others))} ({self.near:.2f})")
        if self.missed:
            more = f" and {len(self.missed) - _NAMED} more" if len(self.missed) > _NAMED else ""
            parts.append(f"not understood: {', '.join(word[:24] for word in self.missed[:_NAMED])}{more}")
        if self.cut:
            parts.append("the rest is too long")
        return "; ".join(parts)


@dataclass(frozen=True)
class SpanMatch:
    """Words `start` to `end` (exclusive) of a prompt, kind and name of the nearest phrase, and its cosine."""

    start: int
    end: int
    kind: str
    name: str
    near: float


def without_overlap(
    spans: Sequence[tuple[int, int]], cosines: torch.Tensor, entries: Sequence[tuple[str, str]]
) -> list[SpanMatch]:
    """The matches with a cosine of NEAR or more, without overlaps: the best and longest have priority.

    spans: start and end of each. cosines: of each with every phrase, [spans, phrases]. entries: kind and name of each
    phrase.
    """
    if not spans:
        return []
    near, entry = cosines.max(1)
    nearest = [entries[int(at)] for at in entry]
    found = zip(spans, nearest, near.tolist(), strict=True)
    matches = [SpanMatch(start, end, kind, name, cosine) for (start, end), (kind, name), cosine in found]
    matches.sort(key=lambda match: (-round(match.near, 2), match.start - match.end))
    taken: set[int] = set()
    kept = []
    for match in matches:
        here = set(range(match.start, match.end))
        if match.near >= NEAR and not here & taken:
            taken |= here
            kept.append(match)
    return kept


def is_of_one_thing(words: Sequence[str]) -> bool:
    """Whether `words` (lower case) are only "black", "white" or "grey", besides small words.

    In a prompt with two scenes, these words describe one of them. In a prompt with one scene, and where a style is
    written out, the whole image becomes monochrome.
    """
    return [word for word in words if word not in SMALL_WORDS] in (["black"], ["white"], ["grey"], ["gray"])


def subjects_of(written: Sequence[SpanMatch], bare: Sequence[str]) -> set[str]:
    """The families that the prompt names before the first preposition.

    Behind it a prompt says where or when its subject is: `a far galaxy in black space`. written: matches that write out
    a family. bare: the prompt's words.
    """
    first = next((at for at, word in enumerate(bare) if word in PREPOSITIONS), 0)
    return {match.name for match in written if match.end <= first}


def joined_by_and(written: Sequence[SpanMatch], bare: Sequence[str]) -> set[str]:
    """The families on both sides of an `and`, up to a preposition: `orcas and a volcano`. Arguments as above."""
    joints = [at for at, word in enumerate(bare) if word in JOINTS]
    joined: set[str] = set()
    for begin, end in pairwise((-1, *joints, len(bare))) if joints else ():
        stop = next((at for at in range(begin + 1, end) if bare[at] in PREPOSITIONS), end)
        joined |= {match.name for match in written if begin < match.start and match.end <= stop}
    return joined
