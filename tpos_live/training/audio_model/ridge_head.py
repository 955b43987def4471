"""The last step of the audio encoder's training: ridge regression from its features to the sentence space.

The input is the decayed mean of the backbone's and the LSTM's outputs over a sound. The target of a labelled clip is
the sentence vector of its label; the target of an unlabelled sound is the mean of the vectors of the teacher's labels.
A softmax over the labels would assign a sound outside all classes to one of them with high confidence; the regression
places it near the labels that it resembles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.audio_encoder.streaming import SILENT_DB, STEP_HOPS
from tpos_live.training.audio_model.clips import Clip
from tpos_live.training.audio_model.losses import Texts
from tpos_live.training.audio_model.net import EncoderNet, prefix_hops
from tpos_live.training.audio_model.unlabeled import UnlabeledSounds

MOMENTS = (25, 125)
"""Steps after which the mean is taken: 1 s and 5 s (at the end of a shorter sound)."""
RECORDED, MADE = 1.5, 0.25
"""Total weights of recorded and of procedural sounds with labels, relative to all unlabelled sounds; see `balanced`."""
RIDGE = 30.0
"""Penalty on the squares of the regression's weights."""


def memories(net: EncoderNet, clips: Sequence[Clip]) -> torch.Tensor:
    """Decayed mean of the features of each clip after each of MOMENTS, float [moments, clips, 2 * width]."""
    found = []
    first = prefix_hops(net.layout)
    with torch.no_grad():
        for clip in clips:
            hops = -(-max(min(len(clip.mel), MOMENTS[-1] * STEP_HOPS), 1) // STEP_HOPS) * STEP_HOPS
            mel = np.full((first + hops, clip.mel.shape[1]), SILENT_DB, np.float32)
            heard = clip.mel[:hops]
            mel[first : first + len(heard)] = heard
            found.append(net.memory_means(torch.from_numpy(mel)[None], MOMENTS)[0])
    return torch.stack(found, dim=1)


def ridge(
    given: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor, penalty: float = RIDGE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [to, from] and bias [to] of the regression of `wanted` [n, to] on `given` [n, from]; weight: [n].

    Minimises the sum of weight * |given w + b - wanted|^2 + penalty |w|^2 (Hoerl and Kennard, 1970).
    """
    x, y, each = given.double(), wanted.double(), weight.double()[:, None]
    middle, goal = (each * x).sum(0) / each.sum(), (each * y).sum(0) / each.sum()
    off = x - middle
    moments = off.T @ (each * off) + penalty * torch.eye(x.shape[1], dtype=torch.double)
    made = torch.linalg.solve(moments, off.T @ (each * (y - goal)))
    return made.T.to(wanted.dtype), (goal - middle @ made).to(wanted.dtype)


def balanced(recorded: Sequence[bool], unlabeled: int) -> torch.Tensor:
    """Sample weights [n + unlabeled], at least 1 each. An unlabelled sound has weight 1. All recorded clips together
    weigh RECORDED times, and all procedural sounds MADE times, as much as all unlabelled sounds.

    recorded: for each labelled sound, whether it is a recording.
    """
    clip = torch.tensor(list(recorded))
    of_clip = max(RECORDED * unlabeled / max(int(clip.sum()), 1), 1.0)
    of_made = max(MADE * unlabeled / max(int((~clip).sum()), 1), 1.0)
    return torch.cat([torch.where(clip, of_clip, of_made), torch.ones(unlabeled)])


def fit_ridge_head(
    net: EncoderNet,
    clips: Sequence[Clip],
    labels: Sequence[int],
    texts: Texts,
    unlabeled: UnlabeledSounds | None,
    penalty: float = RIDGE,
) -> torch.Tensor:
    """Fit the regression and write it into the net's heads; returns the embeddings of all these sounds, unit [n, dim].

    labels: for each clip the index of its text. penalty: of the regression.
    """
    net.eval()
    chosen = torch.tensor(list(labels))
    wanted, told = texts.vectors[chosen], texts.states[chosen]
    heard = [*clips]
    if unlabeled is not None:
        heard += unlabeled.clips
        wanted = torch.cat([wanted, unlabeled.places])
        told = torch.cat([told, unlabeled.states[:, 1 : 1 + net.layout.rows]])
    weight = balanced([not np.isfinite(clip.density) for clip in clips], len(heard) - len(clips))
    held = memories(net, heard)
    dim, repeat = net.layout.dim, len(MOMENTS)
    with torch.no_grad():
        made, bias = ridge(held.flatten(0, 1), wanted.repeat(repeat, 1), weight.repeat(repeat), penalty)
        net.heads.weight[:dim], net.heads.bias[:dim] = made, bias
        meanings = F.normalize(F.linear(held, made, bias), dim=-1)
        # The input is the normalised embedding because a live show passes that to the mapping.
        rows = told.flatten(1).repeat(repeat, 1)
        made, bias = ridge(meanings.flatten(0, 1), rows, weight.repeat(repeat))
        net.states.weight[:], net.states.bias[:] = made, bias
    return meanings[-1]
