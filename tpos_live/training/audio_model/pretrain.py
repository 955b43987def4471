"""Pretrain the audio backbone without labels: `tpos-live train backbone`.

Convolutions and LSTM learn to predict a teacher's embedding of thousands of unlabelled sounds (distillation, Hinton et
al. 2015) and the density of procedural sounds at any level. The training of the audio encoder starts from this
backbone, because a few hundred labelled clips are enough for ten classes but too few for the convolutions. A backbone
that was trained without these clips can be used for every fold. One whose training continues on the clips of a folder,
without their labels, represents them better, but can be used only for the fold that was left out of it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from tpos_live.audio.source import AudioError
from tpos_live.audio_encoder.streaming import Layout
from tpos_live.core.atomic import atomic_write, check_writable
from tpos_live.core.paths import renamed
from tpos_live.training.audio_model.clips import (
    SOUND_SECONDS,
    Sound,
    check_classes,
    check_fold,
    find_clips,
    fold_of,
    left_out,
    made_clips,
    made_music,
    made_sounds,
    read_mono,
)
from tpos_live.training.audio_model.net import EncoderNet
from tpos_live.training.audio_model.target_batches import TargetBatches
from tpos_live.training.audio_model.yamnet_teacher import DistillationTarget, read_targets
from tpos_live.training.precision import trains_in_bfloat16
from tpos_live.training.synth.music import open_soundfont

log = logging.getLogger(__name__)

BACKBONE_FILE, TARGETS_FILE, CLIP_TARGETS_FILE = "backbone.safetensors", "targets.npz", "clip-targets.npz"
_OLD_NAMES = {"backbone": "ears", "targets": "lessons"}
"""Prefixes of the file names: new, and in version 0.2 and earlier."""
RATE, AGAIN, DECAY, DROP = 4e-3, 2e-3, 0.05, 0.1
"""Peak learning rates of a new backbone and of one whose training continues; weight decay; dropout."""
AGAIN_AND_AGAIN = 3
"""How often a clip of `data` is drawn for each time that another sound is drawn."""
PARTS = ("convs", "norms", "segment", "segment_norm", "lstm")
"""Modules of an EncoderNet that make up the backbone."""


def pretrain_backbone(
    sounds: Path,
    teacher: Path,
    *,
    minutes: float,
    run: Path = Path("runs/encoder"),
    seed: int = 0,
    variants: int = 24,
    threads: int | None = None,
    layout: Layout | None = None,
    resume: bool = False,
    data: Path | None = None,
    leave_out_fold: int | None = None,
    without: Sequence[str] = (),
    soundfont: Path | None = None,
) -> Path:
    """Pretrain the backbone on the sounds below `sounds` and on procedural ones; returns run/backbone.safetensors.

    The targets are cached in run/targets.npz. soundfont: plays the synthetic music; without it there is no music.
    resume: continue from the file that this training writes. data: also use the clips of `train encoder`, except
    those of `leave_out_fold` and of the classes `without`; the file is then named by `backbone_file`, and a new
    training starts from run/backbone.safetensors. Raises DataError.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    layout = layout or Layout()
    check_writable(run)
    if soundfont is not None:
        open_soundfont(soundfont)  # so that a wrong file fails before minutes of work
    extra = chain(
        made_sounds(variants, SOUND_SECONDS, seed),
        made_music(variants, seed, soundfont) if soundfont is not None else (),
    )
    targets = read_targets(sounds, teacher, kept_in(run, TARGETS_FILE), extra)
    made = made_clips(variants, SOUND_SECONDS, seed, run / "sounds.npz") if variants else []
    output = run / BACKBONE_FILE
    if data is not None:
        output = run / backbone_file(leave_out_fold, without)
        clips = clip_targets(data, teacher, kept_in(run, CLIP_TARGETS_FILE), leave_out_fold, without)
        targets += AGAIN_AND_AGAIN * clips
    log.info(f"{len(targets)} targets, {minutes:g} minutes")
    torch.manual_seed(seed)
    batches = TargetBatches(targets, made, layout, seed)
    net = EncoderNet(layout)
    again = (resume and load_backbone(net, kept_in(run, output.name))) or (
        data is not None and load_backbone(net, kept_in(run, BACKBONE_FILE))
    )
    if resume and not again:
        log.info(f"nothing to resume in {output}: starting a new training")
    net.bfloat16_convs = trains_in_bfloat16("cpu")
    steps = _distil(Distillation(net, batches.width, AGAIN if again else RATE), batches, 60 * minutes)
    tensors = {name: value for name, value in net.state_dict().items() if name.split(".")[0] in PARTS}
    with atomic_write(output) as part:
        save_file({name: value.contiguous() for name, value in tensors.items()}, part)
    log.info(f"wrote {output}, {steps} steps")
    return output


class Distillation:
    """Trains a backbone with temporary output layers, which are discarded afterwards."""

    def __init__(self, net: EncoderNet, width: int, rate: float) -> None:
        """width: components of the teacher's embedding. rate: the peak learning rate."""
        self._net, self._rate = net.train(), rate
        inner = net.layout.width
        self._answer, self._early = nn.Linear(2 * inner, width), nn.Linear(inner, width)
        self._strength = nn.Linear(2 * inner, 1)
        self._parameters = [p for name, p in net.named_parameters() if name.split(".")[0] in PARTS]
        for head in (self._answer, self._early, self._strength):
            self._parameters += head.parameters()
        groups = [
            {"params": [p for p in self._parameters if p.dim() > 1], "weight_decay": DECAY},
            {"params": [p for p in self._parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))

    def step(self, batch: Sequence[np.ndarray], share: float) -> float:
        """One optimizer step; returns the mean squared error of the embeddings.

        batch: from `TargetBatches.draw`. share: learning rate as a share of the peak.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * share
        mel, teacher_embeddings, known, density = (torch.from_numpy(array) for array in batch)
        segments = self._net.segments(mel)
        hidden, _ = self._net.lstm(segments)
        heard = torch.cat([segments, hidden], -1)
        both = nn.functional.dropout(heard[known], DROP)
        # A loss on the segments alone keeps the convolutions from leaving everything to the LSTM.
        off = (self._answer(both) - teacher_embeddings[known]).pow(2).mean()
        loss = off + 0.3 * (self._early(segments[known]) - teacher_embeddings[known]).pow(2).mean()
        sure = density.isfinite()
        if sure.any():
            loss = loss + 2.0 * (torch.sigmoid(self._strength(heard[sure])[:, 0]) - density[sure]).pow(2).mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        return off.item()


def _distil(student: Distillation, batches: TargetBatches, seconds: float) -> int:
    """Train for so many seconds; returns the number of steps."""
    begin, steps, shown = time.monotonic(), 0, 1.0
    with tqdm(total=round(seconds), unit="s", desc="backbone", mininterval=2.0) as bar:
        while (spent := time.monotonic() - begin) < seconds:
            fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * spent / seconds))
            off = student.step(batches.draw(), min(1.0, (steps + 1) / 100) * fall)
            steps, shown = steps + 1, 0.98 * shown + 0.02 * off
            bar.n = min(bar.total, round(spent))
            bar.set_postfix(off=f"{shown:.3f}", steps=steps, refresh=False)
            bar.update(0)
    return steps


def backbone_file(leave_out_fold: int | None, without: Sequence[str] = ()) -> str:
    """File name of a backbone trained with the clips of `train encoder`: all, or without a fold or classes."""
    return f"backbone-{left_out(leave_out_fold, without) or 'all'}.safetensors"


def kept_in(run: Path, name: str) -> Path:
    """Path of the file `name` in `run`, or under its old name where only that exists; it may be missing."""
    old = name
    for new, before in _OLD_NAMES.items():
        old = old.replace(new, before)
    return renamed(run / name, run / old)


def clip_targets(
    data: Path,
    teacher: Path,
    cache: Path,
    leave_out_fold: int | None,
    without: Sequence[str] = (),
) -> list[DistillationTarget]:
    """Teacher targets for the clips of `data`, without their labels, and without a fold or classes to leave out.

    Raises DataError, also for a fold or a class that does not exist.
    """
    found = find_clips(data)
    check_fold(data, leave_out_fold, (fold_of(path) for _, path in found))
    check_classes(data, without, (text for text, _ in found))
    text_of = {f"{path.parent.name}/{path.name}": text for text, path in found}

    def heard() -> Iterator[Sound]:
        for _, path in found:
            try:
                yield Sound(f"{path.parent.name}/{path.name}", read_mono(path))
            except AudioError as error:
                log.warning(f"left out: {error}")

    targets = read_targets(None, teacher, cache, heard())
    kept = [one for one in targets if one.name in text_of and text_of[one.name] not in without]
    return [one for one in kept if fold_of(Path(one.name)) != leave_out_fold]


def load_backbone(net: EncoderNet, path: Path) -> bool:
    """Load the backbone of a file into `net`; False where the file is missing or its shapes differ."""
    if not path.exists():
        return False
    tensors, mine = load_file(path), net.state_dict()
    if any(name not in mine or mine[name].shape != value.shape for name, value in tensors.items()):
        return False
    net.load_state_dict(tensors, strict=False)
    return True
