"""Zero-shot accuracy of the audio encoder: python benchmarks/zero_shot.py --data DIR [--run runs/encoder]

Each pair of classes is left out in turn, with all labels and procedural sounds of similar meaning. The ridge head is
fitted again without them (`training/audio_model/ridge_head.py`), and the held-out clips of each fold are classified
among all classes, after 5 s. Needs the files of `train backbone` and `train encoder --leave-out-fold` in the folder of
runs. These backbones were trained on clips of the pair in other folds, without labels; for backbones without them use
`evaluate encoder --zero-shot`.

Prints for each CSLS weight (`audio_encoder/csls.py`): the accuracy on the classes that were left out, on the others,
and the harmonic mean of both (Xian et al., CVPR 2017). --out 3 leaves out three classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.audio_encoder.csls import CSLS_WEIGHT, ZERO_SHOT_CSLS_WEIGHT, CslsScorer
from tpos_live.audio_encoder.streaming import Layout
from tpos_live.core.messages import terminal_messages
from tpos_live.core.paths import shipped
from tpos_live.training.audio_model.clips import SOUND_SECONDS, Clip, made_clips, read_clips
from tpos_live.training.audio_model.pretrain import TARGETS_FILE, backbone_file, kept_in
from tpos_live.training.audio_model.ridge_head import MOMENTS, balanced, memories, ridge
from tpos_live.training.audio_model.trainer import EncoderPlan, EncoderTrainer, Sentences
from tpos_live.training.audio_model.unlabeled import UnlabeledSounds, read_unlabeled, similar_names

VARIANTS = 24
WEIGHTS = sorted({0.0, 0.3, CSLS_WEIGHT, 0.7, 0.8, ZERO_SHOT_CSLS_WEIGHT, 1.0, 1.1})


@dataclass
class Fold:
    """Features of all clips, procedural and unlabelled sounds by a fold's backbone: float [moments, n, 2 * width]."""

    number: int
    clips: torch.Tensor
    made: torch.Tensor
    unlabeled: torch.Tensor


def remember(
    run: Path, fold: int, clips: Sequence[Clip], made: Sequence[Clip], unlabeled: UnlabeledSounds, sentences: Sentences
) -> Fold:
    taught = [*(clip for clip in clips if clip.fold != fold), *made]
    trainer = EncoderTrainer(
        taught, sentences, Layout(), EncoderPlan(), 0, run / f"fold-{fold}-checkpoint",
        backbone=kept_in(run, backbone_file(fold)),
    )  # fmt: skip
    if not trainer.load():
        raise SystemExit(f"no training of fold {fold} in {run}; tpos-live train encoder --leave-out-fold {fold}")
    net = trainer.mean.eval()
    return Fold(fold, *(memories(net, sounds) for sounds in (clips, made, unlabeled.clips)))


def named(
    folds: Sequence[Fold], clips: Sequence[Clip], made: Sequence[Clip], known: UnlabeledSounds, left: UnlabeledSounds,
    out: Sequence[str], sentences: Sentences,
) -> Iterator[tuple[float, bool, bool]]:  # fmt: skip
    """For each held-out clip and each of WEIGHTS: the weight, whether the clip's class was left out, and whether the
    prediction is right.

    known: all unlabelled sounds, in the order of the folds' features. left: those that remain without the labels of
    `out`.
    """
    place = {clip.name: n for n, clip in enumerate(known.clips)}
    unlabeled = [place[clip.name] for clip in left.clips]
    barred = similar_names(sorted({clip.text for clip in made}), out, sentences)
    kept = [n for n, clip in enumerate(made) if clip.text not in barred]
    classes = sorted({clip.text for clip in clips})
    places = sentences.encode(classes)[0].numpy()
    texts = sorted({*classes, *(made[n].text for n in kept)} - set(out))
    vectors = sentences.encode(texts)[0]
    for fold in folds:
        taught = [n for n, clip in enumerate(clips) if clip.fold != fold.number and clip.text not in out]
        names = [*(clips[n].text for n in taught), *(made[n].text for n in kept)]
        wanted = torch.cat([vectors[[texts.index(name) for name in names]], left.places])
        held = torch.cat([fold.clips[:, taught], fold.made[:, kept], fold.unlabeled[:, unlabeled]], 1)
        weight = balanced([True] * len(taught) + [False] * len(kept), len(unlabeled))
        repeat = len(MOMENTS)
        made_of, bias = ridge(held.flatten(0, 1), wanted.repeat(repeat, 1), weight.repeat(repeat))
        heard = F.normalize(F.linear(held[-1], made_of, bias), dim=-1).numpy()
        asked = [n for n, clip in enumerate(clips) if clip.fold == fold.number]
        embeddings = F.linear(fold.clips[-1][asked], made_of, bias).numpy()
        for share in WEIGHTS:
            nearness = CslsScorer(places, left.centre.numpy(), heard, share)
            for n, embedding in zip(asked, embeddings, strict=True):
                answer = classes[int(nearness(embedding).argmax())]
                yield share, clips[n].text in out, answer == clips[n].text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of clips for each class")
    parser.add_argument("--run", type=Path, default=Path("runs/encoder"))
    parser.add_argument("--out", type=int, default=2, help="classes left out at once")
    arguments = parser.parse_args()
    sentences = Sentences(shipped("engines") / "ember")
    with terminal_messages():
        clips = read_clips(arguments.data, arguments.run / "clips.npz")
    made = made_clips(VARIANTS, SOUND_SECONDS, 0, arguments.run / "sounds.npz")
    besides = [clip.name for clip in made]
    targets = kept_in(arguments.run, TARGETS_FILE)
    known = read_unlabeled(targets, sentences, (), besides)
    if known is None:
        raise SystemExit(f"no targets in {targets}; tpos-live train backbone")
    numbers = sorted({clip.fold for clip in clips})
    folds = [remember(arguments.run, number, clips, made, known, sentences) for number in numbers]
    right: dict[tuple[float, bool], list[bool]] = {}
    for out in combinations(sorted({clip.text for clip in clips}), arguments.out):
        left = read_unlabeled(targets, sentences, out, besides)
        assert left is not None
        for share, was_out, good in named(folds, clips, made, known, left, out, sentences):
            right.setdefault((share, was_out), []).append(good)
    print("| CSLS weight | left out | trained | harmonic mean | clips |\n| --- | --- | --- | --- | --- |")
    for share in WEIGHTS:
        unseen, seen = (float(np.mean(right[share, was_out])) for was_out in (True, False))
        both = 2 * unseen * seen / max(unseen + seen, 1e-9)
        print(f"| {share:g} | {100 * unseen:.1f} % | {100 * seen:.1f} % | {both:.2f} | {len(right[share, True])} |")


if __name__ == "__main__":
    main()
