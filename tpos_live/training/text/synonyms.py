"""Synonyms of every family for captions, from `synonyms.json` beside this file, which `make_synonyms` writes."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("synonyms.json")


@lru_cache(maxsize=1)
def lists() -> dict[str, tuple[str, ...]]:
    """Synonyms by family; the key "idle" has words that belong to no family."""
    return {name: tuple(words) for name, words in json.loads(FILE.read_text(encoding="utf-8")).items()}


def word_for(rng: random.Random, family: str) -> str:
    """One or two random synonyms of a family; "" where it has none."""
    words = lists().get(family, ())
    if not words:
        return ""
    word = rng.choice(words)
    return word if rng.random() < 0.6 else f"{word} {rng.choice(('and', 'of', 'in the', 'with'))} {rng.choice(words)}"


def idle_word(rng: random.Random) -> str:
    """A random word that belongs to no family."""
    return rng.choice(lists()["idle"])
