"""How well a whole prompt fits each scene of an engine.

A prompt that describes its scene without the usual name, such as `a huge starry pinwheel`, is near to no phrase. A
linear classifier, learned from descriptions (`tpos_live.training.text.descriptions`), is added to the cosines. It sees
the sentence vector, which knows what words are alike, and the words themselves, of which that vector of 128 numbers
keeps too little.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from tpos_live.conditioning.words import SMALL_WORDS, plain_words
from tpos_live.core.tensor_file import read_tensors

log = logging.getLogger(__name__)

FILE = "descriptions.safetensors"
"""In an engine folder: by family the weights of `features` and then one that is added, [dim + WORDS + 1]."""
NONE = "none"
"""In FILE, what was learned of texts that show none of the scenes."""
SHARE = 0.2
"""Of the classifier's logits in a score, beside the cosine."""
WORDS = 4096
"""Numbers that words are hashed to; two words of a prompt seldom share one."""
_EMPHASIS = 2.0
"""Length of the words' part beside the vector's. Of descriptions by writers that were not learned from, the classifier
alone finds 74, 84, 86, 87 and 87 % with 0, 1, 1.5, 2 and 3."""
_ENDING = re.compile(r"(?<=\w{3})(ing|ed|es|s|ly)$")
_ENOUGH = 4
"""Words from which the classifier has its whole say: it learned from descriptions, and `sun` alone is none."""
_TOGETHER = 3
"""Nearest phrases of a family whose mean cosine counts: a single one is often only spelled alike."""
_BATCH = 128

Sentences = Callable[[list[str]], torch.Tensor]
"""Texts to sentence vectors, float [texts, dim], by the engine's own text encoder."""


class SceneScore(NamedTuple):
    """How well a text fits each family. scores: the higher the better. likely: that it shows it, by the classifier
    alone, in [0, 1]; what is left of the sum shows none."""

    scores: dict[str, float]
    likely: dict[str, float]


def unit_vectors(sentences: Sentences, texts: Sequence[str]) -> torch.Tensor:
    """Sentence vectors of unit length on the CPU, float32 [texts, dim], encoded in batches."""
    parts = [sentences(list(texts[at : at + _BATCH])).float().cpu() for at in range(0, len(texts), _BATCH)]
    return torch.nn.functional.normalize(torch.cat(parts), dim=-1)


def features(vectors: torch.Tensor, words: Sequence[Collection[str]]) -> torch.Tensor:
    """What the classifier sees of texts: their sentence vectors, of unit length, and which words they have.

    vectors: float [texts, dim]. words: `stems` of each text. Returns float [texts, dim + WORDS].
    """
    seen = torch.zeros(len(words), WORDS)
    for row, found in zip(seen, words, strict=True):
        for stem in found:
            row[zlib.crc32(stem.encode()) % WORDS] = _EMPHASIS / len(found) ** 0.5
    return torch.cat([vectors, seen], 1)


def stems(text: str) -> set[str]:
    """Its words, without small ones and without common endings."""
    return {_ENDING.sub("", word) for word in plain_words(text).split() if word not in SMALL_WORDS}


class SceneScores:
    """Immutable: any thread may call it."""

    def __init__(self, rows: Mapping[str, Sequence[int]], learned: Mapping[str, torch.Tensor], dim: int) -> None:
        """rows: by family its phrases' places. learned: of FILE; without one of the families, none of it is used."""
        self._rows, size = rows, dim + WORDS + 1
        names = [*rows, NONE]
        fits = all(name in learned and learned[name].shape == (size,) for name in names)
        table = torch.stack([learned[name].float() for name in names]) if fits else torch.zeros(len(names), size)
        self._weights, self._bias = table[:, :-1], table[:, -1]

    def __call__(self, text: str, vector: torch.Tensor, cosines: torch.Tensor) -> SceneScore:
        """vector: float [dim], unit length, of the text. cosines: float [phrases], to every phrase."""
        near = [cosines[rows].topk(min(_TOGETHER, len(rows))).values.mean() for rows in self._rows.values()]
        words = stems(text)
        logits = self._weights @ features(vector[None], [words])[0] + self._bias
        logits *= min(len(words) / _ENOUGH, 1.0)
        scores = torch.stack(near) + SHARE * logits[:-1]
        likely = logits.softmax(0)
        return SceneScore(*(dict(zip(self._rows, values.tolist(), strict=False)) for values in (scores, likely)))


def best(scores: Mapping[str, float], among: Collection[str]) -> str:
    """The family of `among` with the highest score."""
    return max((name for name in scores if name in among), key=scores.__getitem__)


def read_learned(folder: Path) -> dict[str, torch.Tensor]:
    """What an engine folder's classifier learned; nothing where it has none, or a damaged one."""
    path = folder / FILE
    try:
        learned = read_tensors(path)
        if all(bool(torch.isfinite(numbers).all()) for numbers in learned.values()):
            return learned
        log.warning(f"{path}: it has numbers that are not finite, so prompts are matched without it")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning(f"{path}: damaged, so prompts are matched without it ({error})")
    return {}
