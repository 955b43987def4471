"""Unlabelled sounds with soft labels from a teacher, which give them a target in the sentence space.

A few hundred labelled clips cover few classes, so an encoder that is trained on them alone assigns every other sound to
one of these. Some thousand sounds with approximate targets cover the rest of the space.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from tpos_live.training.audio_model.clips import Clip
from tpos_live.training.audio_model.trainer import Sentences
from tpos_live.training.audio_model.yamnet_teacher import DistillationTarget, read_kept
from tpos_live.training.synth.genre_tags import split_music_labels

LEAST = 0.1
"""Labels with a smaller score of the teacher are ignored."""
SIMILAR = 0.6
"""From this cosine (of vectors with their mean subtracted) a label and a text count as the same."""
NO_NAMES = frozenset(
    {
        "silence", "sound effect", "echo", "reverberation", "field recording", "radio", "television",
        "inside, small room", "inside, large room or hall", "inside, public space", "outside, urban or manmade",
        "outside, rural or natural", "background music", "theme music", "soundtrack music", "video game music",
        "jingle (music)", "christmas music", "wedding music", "independent music",
    }
)  # fmt: skip
"""Labels of the recording or its purpose, not of the sound itself."""
OFTEN, MOSTLY = 3, 0.2
"""A label is exported if it has at least the share MOSTLY in at least OFTEN sounds."""


@dataclass(frozen=True)
class UnlabeledSounds:
    """clips: sounds. places: their target vectors, unit [n, dim]; states: [n, tokens, dim] of the text encoder. names:
    labels to export; centre: [dim], the mean vector of all labels of the teacher."""

    clips: list[Clip]
    places: torch.Tensor
    states: torch.Tensor
    names: list[str]
    centre: torch.Tensor


def read_unlabeled(
    cache: Path, sentences: Sentences, without: Sequence[str] = (), besides: Iterable[str] = ()
) -> UnlabeledSounds | None:
    """The cached targets of `train backbone` with target vectors; None where there are none.

    Labels similar to a text in `without` are not used, so that a class that is left out has no effect here either.
    besides: names of sounds to skip, because they are labelled elsewhere.
    """
    targets, names = read_kept(cache)
    known = set(besides)
    targets = [one for one in targets if one.labels and one.name not in known]
    if not targets:
        return None
    words = list(dict.fromkeys([*names, *(word for target in targets for word in label_shares(target))]))
    vectors, states = sentences.encode(words)
    number = {name: index for index, name in enumerate(words)}
    barred = NO_NAMES | similar_names(words, without, sentences)
    clips, places, told = [], [], []
    counts: Counter[str] = Counter()
    for target in targets:
        shares = label_shares(target, barred)
        if not shares:
            continue
        rows = [number[name] for name in shares]
        share = torch.tensor(list(shares.values()))
        counts.update(name for name, part in shares.items() if part >= MOSTLY)
        clips.append(Clip(max(shares, key=shares.__getitem__), target.name, 0, target.mel))
        places.append(F.normalize(share @ vectors[rows], dim=0))
        told.append(torch.einsum("n,ntd->td", share, states[rows]))
    if not clips:
        return None
    often = [name for name in words if counts[name] >= OFTEN]
    return UnlabeledSounds(clips, torch.stack(places), torch.stack(told), often, vectors[: len(names)].mean(0))


def label_shares(target: DistillationTarget, barred: frozenset[str] = NO_NAMES) -> dict[str, float]:
    """Soft labels of a sound with their shares, which sum to one; empty where no label has a score of LEAST.

    The shares are proportional to the square root of the teacher's scores, because the teacher gives one label a high
    score and the others very low ones. Music is labelled by its kinds.
    """
    labels = split_music_labels(target.labels)
    found = {name: score**0.5 for name, score in labels.items() if score >= LEAST and name not in barred}
    total = sum(found.values())
    return {name: share / total for name, share in found.items()}


def similar_names(names: Sequence[str], texts: Sequence[str], sentences: Sentences) -> frozenset[str]:
    """The labels that share a word with one of `texts` or have a cosine of SIMILAR with it."""
    if not texts or not names:
        return frozenset()
    vectors, _ = sentences.encode([*names, *texts])
    about = F.normalize(vectors - vectors[: len(names)].mean(0), dim=-1)
    near = (about[: len(names)] @ about[len(names) :].T).amax(dim=1) >= SIMILAR
    words = {word for text in texts for word in _words(text)}
    return frozenset(name for name, same in zip(names, near.tolist(), strict=True) if same or words & set(_words(name)))


def _words(text: str) -> list[str]:
    """The words of a text in lower case, without a final "s"."""
    return [word.removesuffix("s") for word in re.findall(r"[a-z]+", text.lower())]
