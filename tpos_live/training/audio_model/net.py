"""The sound encoder as it is trained: whole stretches of sound at once, in torch.

Log-mels, seen twice (absolute, and as a shape without level), go through convolutions of a third of a second, one step
each 40 ms; an LSTM gives them time; a temporal attention module looks back over ten seconds of steps. The
stage runs the same numbers step by step in `audio_encoder/streaming.py`; a test holds the two together.

The plan is that of TPoS (Jeong et al., ICCV 2023, section 3.1): segments, an LSTM, attention over time, a
mapping to the text encoder's states. Different: attention is causal and over a memory that moves, and how
strong a sound is has a channel of its own, for weights that sum to one cannot say it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from tpos_live.audio_encoder.streaming import (
    AUDIBLE_DB,
    CENTRE_DB,
    FIRST_BANDS,
    FIRST_HOPS,
    FIRST_STRIDE,
    SCALE_DB,
    STEP_HOPS,
    Layout,
)

EVEN_AGEING = 0.006
"""What a step of 40 ms loses of its weight in a memory that fades evenly: a factor e in 6.7 s."""
EPSILON = 1e-5
"""Of the normalisations, added to the variance."""


def prefix_hops(layout: Layout) -> int:
    """Hops before a stretch that its first step sees."""
    return FIRST_HOPS - STEP_HOPS + 2 * STEP_HOPS * len(layout.channels)


@dataclass
class Carried:
    """What a stream remembers from one stretch to the next, batch first.

    hidden, cell: [batch, width]. keys: [batch, memory, query]; values: [batch, memory, dim]; salience: [batch,
    memory]; loud: [batch, memory], dB of the loudest band; known: bool [batch, memory], which places of the memory hold
    something.
    """

    hidden: torch.Tensor
    cell: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    salience: torch.Tensor
    loud: torch.Tensor
    known: torch.Tensor

    def detached(self) -> Carried:
        """The same without its history: truncated back-propagation through time."""
        return Carried(*(getattr(self, name).detach() for name in self.__dataclass_fields__))

    def kept(self, rows: torch.Tensor) -> Carried:
        """The same with the rows that are False in bool [batch] forgotten."""

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            return tensor * rows.view(-1, *[1] * (tensor.dim() - 1)).to(tensor.dtype)

        return Carried(*(keep(getattr(self, name)) for name in self.__dataclass_fields__))


@dataclass
class Heard:
    """What was made of a stretch, [batch, steps, ...].

    newest: meaning of each step alone; meaning: attended over the memory; both in the sentence space, and as long as
    they are sure: a step that could be anything says little there. density: how much of it, 0 to 1.
    """

    newest: torch.Tensor
    meaning: torch.Tensor
    density: torch.Tensor


class EncoderNet(nn.Module):
    """Sound to meaning. Batch normalisation and dropout in training only; `export` folds them away.

    paper: attend as TPoS does, by a weight that each segment has by itself, and say nothing of magnitude.
    even: once trained, let the memory fade evenly. What attention learns on a few hundred clips makes it look at
    what was heard last, and on clips that it never heard an even memory is right more often.
    """

    def __init__(self, layout: Layout, paper: bool = False, even: bool = True) -> None:
        super().__init__()
        self.layout, self.paper, self.even = layout, paper, even and not paper
        widths = (2, *layout.channels)
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            first = (FIRST_HOPS, FIRST_BANDS), (STEP_HOPS, FIRST_STRIDE), (0, FIRST_BANDS // 2)
            kernel, stride, pad = first if index == 0 else ((3, 3), (1, 2), (0, 1))
            self.convs.append(nn.Conv2d(before, after, kernel, stride, pad, bias=False))
            self.norms.append(nn.BatchNorm2d(after, EPSILON))
        width = layout.width
        self.segment = nn.Conv1d(layout.channels[-1] * layout.bands, width, 3, bias=False)
        self.segment_norm = nn.BatchNorm1d(width, EPSILON)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.heads = nn.Linear(2 * width, sum(layout.heads))
        self.ageing = nn.Parameter(torch.tensor(-5.5))
        self.states = nn.Linear(layout.dim, layout.rows * layout.dim)
        self.temperature = nn.Parameter(torch.tensor(0.07).log())
        self.drop = nn.Dropout(0.1)
        self.audible = math.inf if paper else AUDIBLE_DB
        self.coarse = False
        """Convolve in bfloat16 while training, where the processor can: half the time."""

    def start(self, batch: int) -> Carried:
        """The memory of streams that have heard nothing."""
        n, z = self.layout, self.heads.weight
        return Carried(
            z.new_zeros(batch, n.width),
            z.new_zeros(batch, n.width),
            z.new_zeros(batch, n.memory, n.query),
            z.new_zeros(batch, n.memory, n.dim),
            z.new_zeros(batch, n.memory),
            z.new_zeros(batch, n.memory),
            torch.zeros(batch, n.memory, dtype=torch.bool, device=z.device),
        )

    def forward(self, mel: torch.Tensor, carried: Carried) -> tuple[Heard, Carried]:
        """mel: dB [batch, prefix_hops + STEP_HOPS * steps, 80]; the prefix is what was heard just before."""
        both, h, c = self._remember(mel, carried.hidden, carried.cell)
        both = self.drop(both)
        spoken, query, keys, salience, strength = self.heads(both).split(self.layout.heads, -1)
        if self.paper:
            query, strength = 0.0 * query, 0.0 * strength
        if self.even and not self.training:
            query, salience = 0.0 * query, 0.0 * salience
        values, salience, loud = spoken, salience[..., 0], self._loud(mel)
        keys_all = torch.cat([carried.keys, keys], 1)
        values_all = torch.cat([carried.values, values], 1)
        salience_all = torch.cat([carried.salience, salience], 1)
        loud_all = torch.cat([carried.loud, loud], 1)
        fresh = torch.ones_like(salience, dtype=torch.bool)
        known_all = torch.cat([carried.known, fresh], 1)
        meaning = values
        if self.layout.attention:
            weights = self._attend(query, keys_all, salience_all, loud_all, known_all)
            meaning = weights @ values_all
        keep = self.layout.memory
        kept = (keys_all, values_all, salience_all, loud_all, known_all)
        after = Carried(h, c, *(tensor[:, -keep:] for tensor in kept))
        return Heard(values, meaning, torch.sigmoid(strength[..., 0])), after

    def _remember(
        self, mel: torch.Tensor, h: torch.Tensor, c: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Segments and what the LSTM makes of them, [batch, steps, 2 * width], and its state after them."""
        segments = self.segments(mel)
        hidden = torch.zeros_like(segments)
        if self.layout.lstm:
            hidden, (last, cell) = self.lstm(segments, (h[None], c[None]))
            h, c = last[0], cell[0]
        return torch.cat([segments, hidden], -1), h, c

    def _loud(self, mel: torch.Tensor) -> torch.Tensor:
        """dB of the loudest band of each step, [batch, steps]."""
        return mel[:, prefix_hops(self.layout) :].amax(-1).unflatten(1, (-1, STEP_HOPS)).amax(-1)

    def remembered(self, mel: torch.Tensor, steps: Sequence[int]) -> torch.Tensor:
        """The mean of what was heard, as an even memory holds it after so many steps: [batch, moments, 2 * width].

        mel: as in `forward`, from a fresh start.
        """
        start = self.start(len(mel))
        both, _, _ = self._remember(mel, start.hidden, start.cell)
        loud, found = self._loud(mel), []
        for end in steps:
            told, level = both[:, :end], loud[:, :end]
            age = torch.arange(told.shape[1] - 1, -1, -1, device=mel.device)
            weight = torch.exp(-EVEN_AGEING * age) * (level > level.amax(1, keepdim=True) - self.audible)
            found.append((weight[..., None] * told).sum(1) / weight.sum(1, keepdim=True))
        return torch.stack(found, 1)

    def segments(self, mel: torch.Tensor) -> torch.Tensor:
        """[batch, steps, width] of mel as in `forward`: what the last third of a second sounds like, step by step."""
        level = (mel - CENTRE_DB) / SCALE_DB
        seen = level if self.layout.level else torch.zeros_like(level)
        x = torch.stack([seen, level - level.mean(-1, keepdim=True)], -1).permute(0, 3, 1, 2)  # channels last
        with torch.autocast(mel.device.type, torch.bfloat16, enabled=self.coarse and self.training):
            for conv, norm in zip(self.convs, self.norms, strict=True):
                x = F.relu(norm(conv(x)))
            x = x.transpose(2, 3).flatten(1, 2)  # [batch, channels * bands, steps]
            x = F.relu(self.segment_norm(self.segment(x))).transpose(1, 2)
        return x.float()

    def _attend(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        salience: torch.Tensor,
        loud: torch.Tensor,
        known: torch.Tensor,
    ) -> torch.Tensor:
        """Attention weights [batch, steps, memory + steps]: causal, `memory` steps far, on what was audible."""
        steps, total = query.shape[1], keys.shape[1]
        now = torch.arange(total - steps, total, device=query.device)
        age = now[:, None] - torch.arange(total, device=query.device)[None]
        seen = (age >= 0) & (age < self.layout.memory)
        scores = query @ keys.transpose(1, 2) / self.layout.query**0.5 + salience[:, None]
        if not self.paper:
            ageing = EVEN_AGEING if self.even and not self.training else F.softplus(self.ageing)
            scores = scores - ageing * age.clamp_min(0)
        open_ = seen[None] & known[:, None]
        loudest = loud[:, None].masked_fill(~open_, -1e9).amax(-1, keepdim=True)
        open_ = open_ & (loud[:, None] > loudest - self.audible)
        return scores.masked_fill(~open_, -1e9).softmax(-1)

    def export(self) -> dict[str, torch.Tensor]:
        """Weights as the stage reads them: normalisation folded into the convolutions, float32."""
        out: dict[str, torch.Tensor] = {}
        norms = [*self.norms, self.segment_norm]
        for index, (conv, norm) in enumerate(zip([*self.convs, self.segment], norms, strict=True)):
            state, weight = norm.state_dict(), conv.state_dict()["weight"]
            gain = state["weight"] / torch.sqrt(state["running_var"] + EPSILON)
            weight = weight * gain.view(-1, *[1] * (weight.dim() - 1))
            # [out, in, ...] to [time, in, frequency, out], the order in which the stage gathers.
            order = (2, 1, 3, 0) if weight.dim() == 4 else (2, 1, 0)
            out[f"conv.{index}.weight"] = weight.permute(*order)
            out[f"conv.{index}.bias"] = state["bias"] - state["running_mean"] * gain
        lstm = self.lstm.state_dict()
        out["lstm.weight"] = torch.cat([lstm["weight_ih_l0"], lstm["weight_hh_l0"]], 1).T
        out["lstm.bias"] = lstm["bias_ih_l0"] + lstm["bias_hh_l0"]
        for name, layer in {"heads": self.heads, "states": self.states}.items():
            out[f"{name}.weight"], out[f"{name}.bias"] = layer.weight.T, layer.bias
        out["ageing"] = F.softplus(self.ageing).view(1)
        first, last = self.layout.dim, sum(self.layout.heads)
        query, salience, density = [*range(first, first + self.layout.query)], last - 2, last - 1
        silenced = [*query, density] if self.paper else [*query, salience] if self.even else []
        out["audible"] = torch.full((1,), self.audible)
        if silenced:
            out["ageing"] = torch.full((1,), 0.0 if self.paper else EVEN_AGEING)
        for name in ("heads.weight", "heads.bias"):
            out[name] = out[name].detach().clone()
            out[name][..., silenced] = 0.0
        return {name: tensor.detach().float().contiguous() for name, tensor in out.items()}
