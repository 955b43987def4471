"""Which words of a prompt match which phrases of an engine, and what their order in the sentence says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from tpos_live.conditioning.words import JOINTS, PREPOSITIONS

NEAR = 0.65
"""Cosine from which a word counts as understood. Of 30 animals, tools and trades that Ember cannot draw, 28 are below;
of 80 synonyms that are in no caption, 48 are above. The other 32 are drawn as their nearest phrase."""


@dataclass(frozen=True)
class SpanMatch:
    """Words `start` to `end` (exclusive) of a prompt, the index of the nearest entry, and their cosine."""

    start: int
    end: int
    entry: int
    near: float


def without_overlap(spans: Sequence[tuple[int, int]], cosines: torch.Tensor) -> list[SpanMatch]:
    """The matches with a cosine of NEAR or more, without overlaps: the best and longest have priority.

    spans: start and end of each. cosines: of each with every entry, [spans, entries].
    """
    if not spans:
        return []
    near, entry = cosines.max(1)
    matches = [SpanMatch(*span, int(at), float(n)) for span, n, at in zip(spans, near, entry, strict=True)]
    matches.sort(key=lambda match: (-round(match.near, 2), match.start - match.end))
    taken: set[int] = set()
    kept = []
    for match in matches:
        here = set(range(match.start, match.end))
        if match.near >= NEAR and not here & taken:
            taken |= here
            kept.append(match)
    return kept


def subjects_of(written: Sequence[tuple[SpanMatch, str]], bare: Sequence[str]) -> list[str]:
    """The families that the prompt names before the first preposition.

    Behind it a prompt says where or when its subject is: `a far galaxy in black space`. written: matches that write out
    a family, with its name. bare: the prompt's words.
    """
    first = next((at for at, word in enumerate(bare) if word in PREPOSITIONS), 0)
    return [name for match, name in written if match.end <= first]


def joined_by_and(written: Sequence[tuple[SpanMatch, str]], bare: Sequence[str]) -> set[str]:
    """The families on both sides of an `and`, up to a preposition: `orcas and a volcano`. Arguments as above."""
    joints = [at for at, word in enumerate(bare) if word in JOINTS]
    joined: set[str] = set()
    for begin, end in pairwise((-1, *joints, len(bare))) if joints else ():
        stop = next((at for at in range(begin + 1, end) if bare[at] in PREPOSITIONS), end)
        joined |= {name for match, name in written if begin < match.start and match.end <= stop}
    return joined
