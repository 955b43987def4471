"""Writes `synonyms.json`: `python -m tpos_live.training.text.make_synonyms`. Needs MiniLM.

The caption grammar has about 15 phrases for "fire"; people use hundreds. A word of MiniLM's vocabulary that is clearly
nearest to one family becomes a synonym of it. The words farthest from all families are "idle": some captions contain
them, so that the engine learns to ignore words without a scene. Words of held-out phrases are in neither list.
"""

from __future__ import annotations

import json
import re

import torch

from tpos_live.scenes.families import FAMILIES
from tpos_live.training.text.minilm import minilm, sentence_vectors
from tpos_live.training.text.synonyms import FILE

NEAR, CLEAR = 0.5, 0.04
"""Smallest cosine of a word to its family, and smallest difference to the cosine of the second family."""
IDLE = 400
"""Number of idle words."""
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
    # The mean of the three nearest phrases: a single near phrase often only has a similar spelling.
    score = torch.stack([near[:, owner == index].topk(3, 1).values.mean(1) for index in range(len(families))], 1)
    best, which = score.topk(2, 1)
    clear = (best[:, 0] > NEAR) & (best[:, 0] - best[:, 1] > CLEAR)
    found: dict[str, list[str]] = {name: [] for name in families}
    for word, index, sure in zip(words, which[:, 0].tolist(), clear.tolist(), strict=True):
        if sure:
            found[families[index]].append(word)
    idle = [words[at] for at in near.amax(1).argsort()[:IDLE].tolist()]
    return {name: sorted(own) for name, own in found.items()} | {"idle": sorted(idle)}


def _plain_words() -> list[str]:
    return sorted(word for word in minilm()[1].get_vocab() if re.fullmatch(r"[a-z]{4,}", word))


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=0) + "\n", encoding="utf-8")
