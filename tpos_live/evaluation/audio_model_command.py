"""`tpos-live evaluate encoder`: chooses encoders and clips, and prints the figures as text or JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from tpos_live.audio_encoder.checkpoint import METADATA, EncoderError, read_encoder, read_metadata
from tpos_live.audio_encoder.csls import CSLS_WEIGHT, ZERO_SHOT_CSLS_WEIGHT
from tpos_live.audio_encoder.load import FOLDER
from tpos_live.audio_encoder.protocol import AudioEncoder
from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.core.paths import shipped
from tpos_live.evaluation.audio_model import Answers, Embed, answer, files_of, magnitude, summary
from tpos_live.training.audio_model.clips import fold_of

log = logging.getLogger(__name__)

BASELINE = "baseline"


def evaluate_encoder(
    data: Path, encoder: str, *, folds: bool, variants: int, zero_shot: bool = False
) -> dict[str, Any]:
    """Figures of an encoder on the clips of `data`.

    encoder: a folder, "" for the bundled one, or "baseline". folds: `encoder` is a folder with fold-1, fold-2, … as
    `train encoder --leave-out-fold` writes them; each is tested on the fold that it was not trained on. zero_shot:
    `encoder` is a folder with without-A-B, … as `--leave-out-classes` writes them; each is tested on those classes,
    and only on the left-out fold where there is one. variants: procedural sounds of each kind for the density; 0 skips
    it. Raises DataError, EncoderError.
    """
    from tpos_live.training.audio_model.trainer import Sentences

    home = shipped("engines") / "ember"
    sentences = Sentences(home)

    def embed(texts: Any) -> np.ndarray:
        return np.asarray(sentences.encode(texts)[0].numpy())

    path = Path(encoder) if encoder else home / FOLDER
    clips = _Clips(data, files_of(data), home, embed)
    if zero_shot:
        found = _without_classes(clips, path)
    elif encoder == BASELINE or not folds:
        found = clips.answer(encoder, path, clips.files)
    else:
        found = _fold_by_fold(clips, path)
    if not found.clips:
        raise EncoderError(f"there is nothing to evaluate in {data} with {encoder or path}")
    figures = {"encoder": encoder or str(path), "folds": folds, **summary(found)}
    if zero_shot:
        figures["runs"] = found.runs
    if variants and clips.encoder is not None:
        from tpos_live.training.synth.sound_effects import KINDS

        figures["magnitude"] = magnitude(clips.encoder, list(KINDS), variants)
    return figures


@dataclass
class _Clips:
    """The clips of `data`, and the encoder that was last tested on them."""

    data: Path
    files: list[tuple[str, Path]]
    home: Path
    embed: Embed
    encoder: AudioEncoder | None = None
    """The encoder of the last call of `answer`."""

    def answer(self, encoder: str, path: Path, files: Sequence[tuple[str, Path]]) -> Answers:
        """Predictions of an encoder (BASELINE, or that of the folder `path`) for `files`, among all classes."""
        texts = sorted({text for text, _ in self.files})
        self.encoder, csls_scorer, trained_on = _open(encoder, path, self.home, self.embed, texts)
        return answer(self.encoder, csls_scorer, files, texts, trained_on)


def _without_classes(clips: _Clips, path: Path) -> Answers:
    """Test each encoder in the folder that was trained without some classes, on those classes only."""
    found = Answers()
    for folder in sorted([*path.glob("without-*"), *path.glob("fold-*-without-*")]):
        if not (folder / METADATA).is_file():
            continue
        about = read_metadata(folder)["training"]
        unheard, fold = about["left_out_classes"], about["left_out_fold"]
        unseen = [(text, file) for text, file in files_of(clips.data, fold) if text in unheard]
        found += clips.answer("", folder, unseen)
        found.runs += 1
    if not found.runs:
        raise EncoderError(
            f"there is no encoder with classes left out in {path}; tpos-live train encoder --leave-out-classes A,B"
        )
    return found


def _fold_by_fold(clips: _Clips, path: Path) -> Answers:
    """Test each encoder in the folder that was trained without a fold, on that fold only."""
    found = Answers()
    for fold in sorted({fold_of(file) for _, file in clips.files}):
        if not (path / f"fold-{fold}").is_dir():
            remedy = f"tpos-live train encoder --leave-out-fold {fold}"
            log.warning(f"fold {fold} left out: no encoder in {path / f'fold-{fold}'} ({remedy})")
            continue
        part = clips.answer("", path / f"fold-{fold}", files_of(clips.data, fold))
        if any(clip.seen for clip in part.clips):
            raise EncoderError(
                f"{path / f'fold-{fold}'} was trained on fold {fold}; train it with --leave-out-fold {fold}"
            )
        found += part
    return found


def _open(
    encoder: str, path: Path, home: Path, embed: Embed, texts: Sequence[str]
) -> tuple[AudioEncoder, Callable[[np.ndarray], np.ndarray], frozenset[str]]:
    """The encoder, a function from an embedding to its similarity to each of `texts`, and the encoder's training
    clips."""
    places = embed(texts)
    if encoder == BASELINE:
        rules = RuleBasedEncoder()
        known = embed(list(rules.concepts)) @ places.T
        return rules, lambda meaning: meaning @ known, frozenset()
    trained = read_encoder(path, home)
    facts = read_metadata(path)
    csls_weight = CSLS_WEIGHT if set(texts) <= set(facts["texts"]) else ZERO_SHOT_CSLS_WEIGHT
    return trained, trained.csls_scorer(places, csls_weight), frozenset(facts["training"]["clips"])


def tell(figures: dict[str, Any]) -> None:
    """Print the figures as text."""
    seen = figures["seen_in_training"]
    if seen:
        click.echo(f"trained on {seen} of these {figures['n']} clips: not an accuracy (train with --leave-out-fold)")
    for seconds, heard in figures["heard"].items():
        low, high = heard["interval"]
        click.echo(
            f"{seconds} s heard: {heard['accuracy']:.1%} of {figures['n']} (95 % interval {low:.1%} to {high:.1%})"
        )
    last = list(figures["heard"].values())[-1]
    for kind, share in last["per_class"].items():
        click.echo(f"  {kind:<20} {share:.1%}")
    for fold, share in figures["per_fold"].items():
        click.echo(f"  fold {fold:<15} {share:.1%}")
    if "magnitude" in figures:
        strength = figures["magnitude"]
        click.echo(
            f"magnitude, rank correlation with density at equal loudness: {strength['rank_correlation']:.2f} over all, "
            f"{strength['mean_within_kinds']:.2f} within kinds (RMS {strength['mean_within_kinds_of_rms']:.2f})"
        )
    click.echo(f"{figures['ms_a_hop']:.2f} ms a hop of 10 ms")


def run(data: Path, encoder: str, folds: bool, variants: int, as_json: bool, zero_shot: bool = False) -> int:
    """Run the command; figures go to standard output, warnings to standard error."""
    figures = evaluate_encoder(data, encoder, folds=folds, variants=variants, zero_shot=zero_shot)
    if as_json:
        click.echo(json.dumps(figures))
    else:
        tell(figures)
    return 0
