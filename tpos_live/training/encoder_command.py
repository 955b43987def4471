"""`tpos-live train encoder`: data in, an encoder folder out, or one line that says why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from tpos_live.analysis.encoder_folder import write_encoder
from tpos_live.analysis.opening import FOLDER
from tpos_live.analysis.sound_encoder import Layout
from tpos_live.places import shipped
from tpos_live.training.clips import Clip, DataError, made_clips, read_clips
from tpos_live.training.encoder_training import EncoderPlan, EncoderTrainer, Sentences

SOUND_SECONDS = 4.0
PHRASES_A_FAMILY = 6
PHRASES_A_MOOD = 3


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
    variants: int = 16,
    layout: Layout | None = None,
    plan: EncoderPlan | None = None,
    say: Callable[[str], None] = lambda line: click.echo(line, err=True),
) -> Path:
    """Train on the clips of `data` and on procedural sounds; gives the folder that was written.

    run: where mels and checkpoints are kept. With a fold left out the encoder goes to run/fold-K unless `output`
    says otherwise; without, to the engine in the box. variants: procedural sounds of each kind. Nothing is written
    to the encoder's folder before the training has ended. Raises DataError, EncoderError.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    home = shipped("engines") / "ember"
    clips = read_clips(data, run / "clips.npz", say)
    folds = sorted({clip.fold for clip in clips})
    if leave_out_fold is not None:
        if leave_out_fold not in folds:
            raise DataError(f"{data} has no fold {leave_out_fold}; its folds are {', '.join(map(str, folds))}")
        clips = [clip for clip in clips if clip.fold != leave_out_fold]
        if len({clip.text for clip in clips}) < 2:
            raise DataError(f"{data} without fold {leave_out_fold} has fewer than two classes")
    name = "all" if leave_out_fold is None else f"fold-{leave_out_fold}"
    output = output or (home / FOLDER if leave_out_fold is None else run / name)
    sounds = made_clips(variants, SOUND_SECONDS, seed, run / "sounds.npz") if variants else []
    sentences = Sentences(home)
    trainer = EncoderTrainer(
        [*clips, *sounds], sentences, layout or Layout(), plan or EncoderPlan(), seed, run / f"{name}-checkpoint"
    )
    if resume and not trainer.load():
        say(f"nothing to resume in {trainer.run}: beginning anew")
    say(f"{len(clips)} clips, {len(sounds)} procedural sounds, {len(trainer.texts)} texts, {minutes:g} minutes")
    if minutes > 0:
        trainer.train(minutes * 60)
        trainer.save()
    export(trainer, sentences, output, clips, sounds, leave_out_fold)
    say(f"wrote {output}, {trainer.steps} steps")
    return output


def export(
    trainer: EncoderTrainer,
    sentences: Sentences,
    output: Path,
    clips: Sequence[Clip],
    sounds: Sequence[Clip],
    leave_out_fold: int | None,
) -> None:
    """Write the encoder with its bank of phrases: what Ember can show first, then what else was heard."""
    scenes = known_scenes(trainer.texts)
    phrases = [*scenes, *(text for text in trainer.texts if text not in scenes)]
    vectors, _ = sentences.encode(phrases)
    weights = {name: value.numpy() for name, value in trainer.net.export().items()}
    metadata: dict[str, Any] = {
        "layout": trainer.net.layout.describe(),
        "text_encoder": sentences.hash,
        "phrases": phrases,
        "scenes": len(scenes),
        "texts": trainer.texts,
        "training": {
            "clips": sorted(clip.name for clip in clips),
            "procedural": len(sounds),
            "left_out_fold": leave_out_fold,
            "seed": trainer.seed,
            "steps": trainer.steps,
            "seconds": round(trainer.spent),
            "plan": asdict(trainer.plan),
        },
    }
    write_encoder(output, {**weights, "phrases": vectors.numpy().astype(np.float32)}, metadata)


def known_scenes(texts: Sequence[str]) -> list[str]:
    """Phrases of the families that the Ember in the box names, and of its moods: some of each, and all in `texts`."""
    import tomllib

    from tpos_live.training.captions import MOOD_PHRASES, PHRASES

    text = (shipped("engines") / "ember" / "families.toml").read_text(encoding="utf-8")
    families = tomllib.loads(text)["families"]
    found = [
        phrase
        for name in families
        for index, phrase in enumerate(PHRASES.get(name, ()))
        if index < PHRASES_A_FAMILY or phrase in texts
    ]
    found += [phrase for phrases in MOOD_PHRASES.values() for phrase in phrases[:PHRASES_A_MOOD]]
    return list(dict.fromkeys(found))
