"""The last step of the sound encoder's training: what a sound means is read off its memory by ridge regression.

Of a sound the memory holds the mean of what the backbone and the LSTM gave at each moment. Where that mean lies in the
sentence space is linear regression: named clips are to lie at their names, sounds that nobody named about where a
teacher's names for them lie. Told by a softmax over names instead, a sound without one of these names is given one
all the same, and with certainty; a regression says what it is like.
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
"""Steps after which a memory is read, 1 s and 5 s (a shorter sound: at its end)."""
RECORDED, MADE = 1.5, 0.25
"""Weights of what has a name, for all that has none; see `balanced`."""
RIDGE = 30.0
"""Penalty on the squares of the regression's weights."""


def memories(net: EncoderNet, clips: Sequence[Clip]) -> torch.Tensor:
    """What the memory holds after each of MOMENTS of each clip, float [moments, clips, 2 * width]."""
    found = []
    first = prefix_hops(net.layout)
    with torch.no_grad():
        for clip in clips:
            hops = -(-max(min(len(clip.mel), MOMENTS[-1] * STEP_HOPS), 1) // STEP_HOPS) * STEP_HOPS
            mel = np.full((first + hops, clip.mel.shape[1]), SILENT_DB, np.float32)
            heard = clip.mel[:hops]
            mel[first : first + len(heard)] = heard
            found.append(net.remembered(torch.from_numpy(mel)[None], MOMENTS)[0])
    return torch.stack(found, dim=1)


def ridge(
    given: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor, penalty: float = RIDGE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [to, from] and bias [to] of the regression of `wanted` [n, to] on `given` [n, from], weight: [n].

    The least of the sum of weight * |given w + b - wanted|^2 + penalty |w|^2 (Hoerl and Kennard, 1970).
    """
    x, y, each = given.double(), wanted.double(), weight.double()[:, None]
    middle, goal = (each * x).sum(0) / each.sum(), (each * y).sum(0) / each.sum()
    off = x - middle
    moments = off.T @ (each * off) + penalty * torch.eye(x.shape[1], dtype=torch.double)
    made = torch.linalg.solve(moments, off.T @ (each * (y - goal)))
    return made.T.to(wanted.dtype), (goal - middle @ made).to(wanted.dtype)


def balanced(recorded: Sequence[bool], unlabeled: int) -> torch.Tensor:
    """Weights [n + unnamed]: of an unnamed sound 1, of all recorded clips with a name RECORDED and of all procedural
    sounds MADE times that of all unnamed ones together, however many there are; none is less than 1."""
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
    """Put the regression into the net's heads; gives the meanings of all these sounds, unit [n, dim].

    labels: of each clip, the index of its text. penalty: of the regression.
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
        # The mapping learns from the very vectors that the stage hands on.
        rows = told.flatten(1).repeat(repeat, 1)
        made, bias = ridge(meanings.flatten(0, 1), rows, weight.repeat(repeat))
        net.states.weight[:], net.states.bias[:] = made, bias
    return meanings[-1]
