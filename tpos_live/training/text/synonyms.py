"""More words for every family, from a sentence encoder: `python -m tpos_live.training.text.synonyms`.

A grammar written by hand says "fire" in some fifteen ways; people say it in hundreds. Every plain word of MiniLM's
vocabulary that clearly lies nearest to one family is a word for it, and words that lie near to none are idle: captions
carry some of them, so that a picture does not change for a word that means nothing here. Words of held-out phrases are
in neither list. The lists are kept beside this file; only making them needs MiniLM.
"""

from __future__ import annotations

import json
import random
import re
from functools import lru_cache
from pathlib import Path

import torch

from tpos_live.training.scenes import FAMILIES

FILE = Path(__file__).with_name("synonyms.json")
NEAR, CLEAR = 0.5, 0.04
"""Cosine of a word to its family, and how much nearer that is than the next family."""
IDLE = 400
"""So many words that are near to no family are kept, the farthest."""
BATCH = 256


@lru_cache(maxsize=1)
def lists() -> dict[str, tuple[str, ...]]:
    """Words by family, and those that are "idle"."""
    return {name: tuple(words) for name, words in json.loads(FILE.read_text(encoding="utf-8")).items()}


def word_for(rng: random.Random, family: str) -> str:
    """A word, or two, that lie nearest to this family; "" where there are none."""
    words = lists().get(family, ())
    if not words:
        return ""
    word = rng.choice(words)
    return word if rng.random() < 0.6 else f"{word} {rng.choice(('and', 'of', 'in the', 'with'))} {rng.choice(words)}"


def idle_word(rng: random.Random) -> str:
    """A word that names nothing an engine could draw."""
    return rng.choice(lists()["idle"])


def make() -> dict[str, list[str]]:
    """The lists: words by family, and "idle". Raises RuntimeError where MiniLM is missing."""
    from tpos_live.training.text.text_encoder import sentence_vectors

    held_out = {word for kind in FAMILIES.values() for text in kind.held_out for word in text.split()}
    families = list(FAMILIES)
    texts = [(text, families.index(name)) for name, kind in FAMILIES.items() for text in kind.phrases]
    known = sentence_vectors([text for text, _ in texts])
    owner = torch.tensor([index for _, index in texts])
    words = [word for word in _plain_words() if word not in held_out]
    near = torch.cat([sentence_vectors(words[at : at + BATCH]) @ known.T for at in range(0, len(words), BATCH)])
    # The three nearest phrases together: one alone is often a word that merely looks alike.
    score = torch.stack([near[:, owner == index].topk(3, 1).values.mean(1) for index in range(len(families))], 1)
    best, which = score.topk(2, 1)
    clear = (best[:, 0] > NEAR) & (best[:, 0] - best[:, 1] > CLEAR)
    found: dict[str, list[str]] = {name: [] for name in families}
    for word, index, sure in zip(words, which[:, 0].tolist(), clear.tolist(), strict=True):
        if sure:
            found[families[index]].append(word)
    idle = [words[at] for at in near.amax(1).argsort()[:IDLE].tolist()]
    return {name: sorted(some) for name, some in found.items()} | {"idle": sorted(idle)}


def _plain_words() -> list[str]:
    from tpos_live.training.text.text_encoder import teacher

    return sorted(word for word in teacher()[1].get_vocab() if re.fullmatch(r"[a-z]{4,}", word))


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=0) + "\n", encoding="utf-8")
