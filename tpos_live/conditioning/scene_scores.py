"""How well a whole prompt fits each scene family of an engine.

A prompt that describes its scene without the usual name, such as `a huge starry pinwheel`, is near to no phrase. So the
logits of a linear classifier, trained on descriptions (`tpos_live.training.text.descriptions`), are added to the
cosines. Its features are the sentence vector, in which similar words are near each other, and a hashed bag of words:
the vector of 128 numbers alone loses too much of the words.
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
"""The classifier in an engine folder: by family the weights of `features`, then the bias; [dim + WORDS + 1]."""
NONE = "none"
"""The class in FILE of texts that show none of the scenes."""
SHARE = 0.2
"""Factor on the classifier's logits in a score; the cosine has 1."""
WORDS = 4096
"""Buckets that words are hashed to; two words of a prompt seldom share a bucket."""
_EMPHASIS = 2.0
"""Length of the bag of words; that of the sentence vector is 1. On held-out writers' descriptions the classifier alone
finds the family of 74, 84, 86, 87 and 87 % with lengths 0, 1, 1.5, 2 and 3."""
_ENDING = re.compile(r"(?<=\w{3})(ing|ed|es|s|ly)$")
_ENOUGH = 4
"""Words from which the logits count fully; fewer words scale them down, because the training data are descriptions and
not single words."""
_TOGETHER = 3
"""The mean cosine of this many nearest phrases of a family counts: a single near phrase is often only spelled alike."""
_BATCH = 128

Sentences = Callable[[list[str]], torch.Tensor]
"""Texts to sentence vectors, float [texts, dim], by the engine's own text encoder."""


class SceneScore(NamedTuple):
    """How well a text fits each family. scores: higher is better. likely: the classifier's probability that the text
    shows the family, 0 to 1; the rest of the sum, up to 1, is that of no scene."""

    scores: dict[str, float]
    likely: dict[str, float]


def unit_vectors(sentences: Sentences, texts: Sequence[str]) -> torch.Tensor:
    """Sentence vectors of unit length on the CPU, float32 [texts, dim], encoded in batches."""
    parts = [sentences(list(texts[at : at + _BATCH])).float().cpu() for at in range(0, len(texts), _BATCH)]
    return torch.nn.functional.normalize(torch.cat(parts), dim=-1)


def features(vectors: torch.Tensor, words: Sequence[Collection[str]]) -> torch.Tensor:
    """The classifier's input: sentence vectors and hashed bags of words.

    vectors: float [texts, dim], unit length. words: `stems` of each text. Returns float [texts, dim + WORDS].
    """
    bags = torch.zeros(len(words), WORDS)
    for bag, of_text in zip(bags, words, strict=True):
        for stem in of_text:
            bag[zlib.crc32(stem.encode()) % WORDS] = _EMPHASIS / len(of_text) ** 0.5
    return torch.cat([vectors, bags], 1)


def stems(text: str) -> set[str]:
    """The words of a text without small words, and without common endings (-ing, -ed, -es, -s, -ly)."""
    return {_ENDING.sub("", word) for word in plain_words(text).split() if word not in SMALL_WORDS}


class SceneScores:
    """Scores of all families for one text: cosines plus the classifier's logits. Immutable: any thread may call it."""

    def __init__(self, rows: Mapping[str, Sequence[int]], learned: Mapping[str, torch.Tensor], dim: int) -> None:
        """rows: by family, the indices of its phrases. learned: the content of FILE; ignored where a family is missing.
        dim: of the sentence vectors."""
        self._rows, size = rows, dim + WORDS + 1
        names = [*rows, NONE]
        fits = all(name in learned and learned[name].shape == (size,) for name in names)
        table = torch.stack([learned[name].float() for name in names]) if fits else torch.zeros(len(names), size)
        self._weights, self._bias = table[:, :-1], table[:, -1]

    def __call__(self, text: str, vector: torch.Tensor, cosines: torch.Tensor) -> SceneScore:
        """vector: the text's sentence vector, float [dim], unit length. cosines: to every phrase, float [phrases]."""
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
    """The classifier's weights in an engine folder, see FILE; empty where there are none or they are damaged."""
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
