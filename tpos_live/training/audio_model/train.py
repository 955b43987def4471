"""`tpos-live train encoder`: trains the audio encoder on labelled clips and writes its folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpos_live.audio_encoder.checkpoint import write_encoder
from tpos_live.audio_encoder.load import FOLDER
from tpos_live.audio_encoder.streaming import Layout
from tpos_live.core.atomic import check_writable
from tpos_live.core.paths import shipped
from tpos_live.training.audio_model.clips import (
    SOUND_SECONDS,
    Clip,
    check_classes,
    check_fold,
    left_out,
    made_clips,
    read_clips,
)
from tpos_live.training.audio_model.kind_head import composed
from tpos_live.training.audio_model.pretrain import BACKBONE_FILE, TARGETS_FILE, backbone_file, kept_in
from tpos_live.training.audio_model.ridge_head import fit_ridge_head
from tpos_live.training.audio_model.sound_to_scene import bank
from tpos_live.training.audio_model.trainer import EncoderPlan, EncoderTrainer, Sentences
from tpos_live.training.audio_model.unlabeled import UnlabeledSounds, read_unlabeled, similar_names
from tpos_live.training.errors import DataError

log = logging.getLogger(__name__)

ALL = "all"
"""Name of a run that leaves nothing out; its encoder replaces the bundled one."""
PHRASES_A_FAMILY = 6
PHRASES_A_MOOD = 3
"""Phrases of each family and of each mood in the phrase bank."""


def train_encoder(
    data: Path,
    output: Path | None,
    *,
    minutes: float,
    leave_out_fold: int | None = None,
    resume: bool = False,
    seed: int = 0,
    threads: int | None = None,
    run: Path = Path("runs/encoder"),
    variants: int = 24,
    layout: Layout | None = None,
    plan: EncoderPlan | None = None,
    steps: int | None = None,
    paper: bool = False,
    without: Sequence[str] = (),
    backbone: Path | None = None,
) -> Path:
    """Train on the clips of `data` and on procedural sounds; returns the folder that was written.

    run: folder for mels and checkpoints. output: by default run/fold-K where a fold is left out, run/without-A-B where
    classes are left out (`without`), and the bundled engine where nothing is left out. variants: procedural sounds of
    each kind. steps: train this number of steps instead of `minutes`. paper: losses and attention of the TPoS paper's
    released code. backbone: a file of `train backbone`; by default the file in `run` that did not use what is left
    out. The encoder's folder is written only after the training has ended. Raises DataError, EncoderError.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    home = shipped("engines") / "ember"
    clips = read_clips(data, run / "clips.npz")
    clips = _kept(clips, data, leave_out_fold, without)
    layout = layout or Layout()
    name = _name(layout, leave_out_fold, without, paper)
    output = output or (home / FOLDER if name == ALL else run / name)
    check_writable(output)
    made = made_clips(variants, SOUND_SECONDS, seed, run / "sounds.npz") if variants else []
    sentences = Sentences(home)
    barred = similar_names(sorted({clip.text for clip in made}), without, sentences)
    sounds = [clip for clip in made if clip.text not in barred]
    names = [clip.name for clip in made]
    unlabeled = None if paper else read_unlabeled(kept_in(run, TARGETS_FILE), sentences, without, names)
    backbone = _backbone(backbone, run, leave_out_fold, without)
    trainer = EncoderTrainer(
        [*clips, *sounds], sentences, layout, plan or EncoderPlan(), seed, run / f"{name}-checkpoint",
        backbone=None if paper else backbone,
        paper=paper,
    )  # fmt: skip
    if trainer.pretrained:
        log.info(f"starting from the audio backbone in {backbone}")
    if resume and not trainer.load():
        log.info(f"nothing to resume in {trainer.run}: starting a new training")
    others = len(unlabeled.clips) if unlabeled else 0
    kinds = f"{len(clips)} clips, {len(sounds)} procedural and {others} unlabelled sounds"
    log.info(f"{kinds}, {len(trainer.texts)} texts, " + (f"{steps} steps" if steps else f"{minutes:g} minutes"))
    if minutes > 0 or steps:
        trainer.train(minutes * 60, steps)
        trainer.save()
    export(trainer, sentences, output, clips, sounds, leave_out_fold, without, unlabeled)
    log.info(f"wrote {output}, {trainer.steps} steps")
    return output


def _kept(clips: Sequence[Clip], data: Path, leave_out_fold: int | None, without: Sequence[str]) -> list[Clip]:
    """The clips to train on. Raises DataError for a fold or class that does not exist."""
    check_fold(data, leave_out_fold, (clip.fold for clip in clips))
    check_classes(data, without, (clip.text for clip in clips))
    kept = [clip for clip in clips if clip.fold != leave_out_fold and clip.text not in without]
    if len({clip.text for clip in kept}) < 2:
        raise DataError(f"{data} has fewer than two classes besides those that are left out")
    return kept


def _backbone(asked: Path | None, run: Path, leave_out_fold: int | None, without: Sequence[str]) -> Path:
    """The file `asked`, or the backbone in `run` that did not use what is left out; the latter may be missing.

    Raises DataError where `asked` is missing.
    """
    if asked is None:
        fits = kept_in(run, backbone_file(leave_out_fold, without))
        return fits if fits.exists() else kept_in(run, BACKBONE_FILE)
    if not asked.exists():
        raise DataError(f"{asked}: there is no audio backbone; `tpos-live train backbone` trains one")
    return asked


def _name(layout: Layout, leave_out_fold: int | None, without: Sequence[str], paper: bool) -> str:
    """Name of the run's folder: what is left out and what differs from the default layout; ALL for the default."""
    parts = [left_out(leave_out_fold, without)]
    parts += [f"no-{part}" for part in ("lstm", "attention", "level") if not getattr(layout, part)]
    parts += ["paper"] if paper else []
    return "-".join(part for part in parts if part) or ALL


def export(
    trainer: EncoderTrainer,
    sentences: Sentences,
    output: Path,
    clips: Sequence[Clip],
    sounds: Sequence[Clip],
    leave_out_fold: int | None,
    without: Sequence[str] = (),
    unlabeled: UnlabeledSounds | None = None,
) -> None:
    """Fit the ridge head and write the encoder with its phrase bank: scenes of Ember, labels of clips, other labels."""
    names = list(dict.fromkeys([*trainer.texts, *(unlabeled.names if unlabeled else ())]))
    scenes = bank(known_scenes(trainer.texts), names, known_families())
    others = [(text, text) for text in names if (text, text) not in scenes]
    phrases = [phrase for phrase, _ in (*scenes, *others)]
    vectors, _ = sentences.encode([place for _, place in (*scenes, *others)])
    reference: dict[str, np.ndarray] = {}
    if not trainer.net.paper:
        labels = [trainer.texts.index(clip.text) for clip in (*clips, *sounds)]
        heard = fit_ridge_head(trainer.mean, [*clips, *sounds], labels, trainer.text_targets, unlabeled)
        centre = unlabeled.centre if unlabeled else vectors.mean(0)
        # The procedural sound "piano music" does not count as a song.
        kinds = [composed(clips), np.full(len(sounds), -1, np.int8), composed(unlabeled.clips if unlabeled else ())]
        reference = {
            "heard": heard.half().numpy(),
            "heard.kinds": np.concatenate(kinds),
            "centre": centre.numpy().astype(np.float32),
        }
    weights = {name: value.numpy() for name, value in trainer.mean.export().items()} | reference
    metadata: dict[str, Any] = {
        "layout": trainer.net.layout.describe(),
        "text_encoder": sentences.hash,
        "phrases": phrases,
        "scenes": len(scenes),
        "moods": known_moods(),
        "texts": trainer.texts,
        "training": {
            "clips": sorted(clip.name for clip in clips),
            "procedural": len(sounds),
            "unnamed": len(unlabeled.clips) if unlabeled else 0,
            "left_out_fold": leave_out_fold,
            "left_out_classes": list(without),
            "variant": "paper" if trainer.net.paper else "own",
            "seed": trainer.seed,
            "steps": trainer.steps,
            "seconds": round(trainer.spent),
            "backbone": trainer.backbone,
            "plan": asdict(trainer.plan),
        },
    }
    write_encoder(output, {**weights, "phrases": vectors.numpy().astype(np.float32)}, metadata)


def known_families() -> list[str]:
    """The families that the bundled Ember offers."""
    from tpos_live.training.text.families_file import read_families

    return read_families(shipped("engines") / "ember").offered


def known_scenes(texts: Sequence[str]) -> list[str]:
    """Phrases of the families that the bundled Ember offers, the first of each and all that are in `texts`; and its
    moods."""
    from tpos_live.training.text.captions import PHRASES

    found = [
        phrase
        for name in known_families()
        for index, phrase in enumerate(PHRASES.get(name, ()))
        if index < PHRASES_A_FAMILY or phrase in texts
    ]
    return list(dict.fromkeys([*found, *known_moods()]))


def known_moods() -> list[str]:
    """Phrases of the moods that Ember was trained to take from audio tokens."""
    from tpos_live.training.text.captions import MOOD_PHRASES

    return [phrase for phrases in MOOD_PHRASES.values() for phrase in phrases[:PHRASES_A_MOOD]]
