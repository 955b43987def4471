"""Writes `synonyms.json`: `python -m tpos_live.training.text.make_synonyms`. Needs MiniLM.

A grammar written by hand says "fire" in some fifteen ways; people say it in hundreds. Every plain word of MiniLM's
vocabulary that is clearly nearest to one family is a synonym of it. Words that are near to no family are "idle":
captions contain some of them, so that the image does not change for a word that means nothing here. Words of held-out
phrases are in neither list.
"""

from __future__ import annotations

import json
import re

import torch

from tpos_live.scenes.families import FAMILIES
from tpos_live.training.text.minilm import minilm, sentence_vectors
from tpos_live.training.text.synonyms import FILE

NEAR, CLEAR = 0.5, 0.04
"""Cosine of a word to its family, and how much nearer that is than the next family."""
IDLE = 400
"""So many words that are near to no family are kept, the farthest."""
BATCH = 256


def make() -> dict[str, list[str]]:
    """The lists: words by family, and "idle". Raises MissingLibraryError."""
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
    return sorted(word for word in minilm()[1].get_vocab() if re.fullmatch(r"[a-z]{4,}", word))


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=0) + "\n", encoding="utf-8")
