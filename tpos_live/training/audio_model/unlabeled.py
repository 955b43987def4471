"""Sounds that nobody named: a teacher says what they may be called, and so they get a place in the sentence space.

A few hundred clips teach a few names, and all else that is heard would be given one of these. Some thousand sounds
whose place is only about right teach where anything lies.
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
"""What the teacher gives a smaller score is not meant."""
SIMILAR = 0.6
"""A name whose cosine, about the middle of names, with a text is this great means the same."""
NO_NAMES = frozenset(
    {
        "silence", "sound effect", "echo", "reverberation", "field recording", "radio", "television",
        "inside, small room", "inside, large room or hall", "inside, public space", "outside, urban or manmade",
        "outside, rural or natural", "background music", "theme music", "soundtrack music", "video game music",
        "jingle (music)", "christmas music", "wedding music", "independent music",
    }
)  # fmt: skip
"""They name the recording or what it is for, not what is heard."""
OFTEN, MOSTLY = 3, 0.2
"""Sounds of which a name is at least the share MOSTLY, for it to be a name for the stage."""


@dataclass(frozen=True)
class UnlabeledSounds:
    """clips: sounds. places: unit [n, dim], where they lie; states: [n, tokens, dim] of the text encoder. names: what
    several of them were called; centre: [dim], the middle of all names that the teacher has."""

    clips: list[Clip]
    places: torch.Tensor
    states: torch.Tensor
    names: list[str]
    centre: torch.Tensor


def read_unlabeled(
    cache: Path, sentences: Sentences, without: Sequence[str] = (), besides: Iterable[str] = ()
) -> UnlabeledSounds | None:
    """The targets that `train backbone` kept, with places; None where there are none.

    No name that means the same as a text in `without` is used: what is left out of a training must not come in here.
    besides: names of targets that are named elsewhere.
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
    """Shares of the names that a sound may have; they add up to one, or there are none.

    The square root of the teacher's scores: it is sure of one name and shy of the others. Music goes by its kinds.
    """
    labels = split_music_labels(target.labels)
    found = {name: score**0.5 for name, score in labels.items() if score >= LEAST and name not in barred}
    total = sum(found.values())
    return {name: share / total for name, share in found.items()}


def similar_names(names: Sequence[str], texts: Sequence[str], sentences: Sentences) -> frozenset[str]:
    """The names that mean what one of `texts` means: they share a word with it, or lie near it."""
    if not texts or not names:
        return frozenset()
    vectors, _ = sentences.encode([*names, *texts])
    about = F.normalize(vectors - vectors[: len(names)].mean(0), dim=-1)
    near = (about[: len(names)] @ about[len(names) :].T).amax(dim=1) >= SIMILAR
    words = {word for text in texts for word in _words(text)}
    return frozenset(name for name, same in zip(names, near.tolist(), strict=True) if same or words & set(_words(name)))


def _words(text: str) -> list[str]:
    """Its words without a plural's s."""
    return [word.removesuffix("s") for word in re.findall(r"[a-z]+", text.lower())]
