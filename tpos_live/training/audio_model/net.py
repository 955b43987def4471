"""The audio encoder as a torch network, for training: it processes many steps at once.

Log-mels, in two channels (absolute, and with the mean of each hop subtracted), go through convolutions with a receptive
field of a third of a second and a step of 40 ms, then through an LSTM and a temporal attention over the last ten
seconds of steps. A live show runs the same weights one step at a time (`audio_encoder/streaming.py`); a test compares
the two.

The structure is that of TPoS (Jeong et al., ICCV 2023, section 3.1): segments, an LSTM, attention over time, a mapping
to the text encoder's states. Two things differ: attention is causal, over a sliding window; and density has its own
output, because attention weights sum to one and so cannot express it.
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
"""Decay of the log weight for each step of 40 ms, where all steps fade alike: a factor e in 6.7 s."""
EPSILON = 1e-5
"""Added to the variance in normalisations."""


def prefix_hops(layout: Layout) -> int:
    """Hops before an excerpt that are in the receptive field of its first step."""
    return FIRST_HOPS - STEP_HOPS + 2 * STEP_HOPS * len(layout.channels)


@dataclass
class StreamState:
    """The state that a stream carries from one excerpt to the next, batch first.

    hidden, cell: [batch, width], of the LSTM. keys: [batch, memory, query]; values: [batch, memory, dim]; salience:
    [batch, memory]; loud: [batch, memory], dB of the loudest band; known: bool [batch, memory], True where the memory
    holds a step.
    """

    hidden: torch.Tensor
    cell: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    salience: torch.Tensor
    loud: torch.Tensor
    known: torch.Tensor

    def detached(self) -> StreamState:
        """A copy detached from the graph, for truncated back-propagation through time."""
        return StreamState(*(getattr(self, name).detach() for name in self.__dataclass_fields__))

    def kept(self, rows: torch.Tensor) -> StreamState:
        """A copy with the state of the streams reset where `rows`, bool [batch], is False."""

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            return tensor * rows.view(-1, *[1] * (tensor.dim() - 1)).to(tensor.dtype)

        return StreamState(*(keep(getattr(self, name)) for name in self.__dataclass_fields__))


@dataclass
class EncoderOutput:
    """Outputs for an excerpt, [batch, steps, ...].

    newest: embedding of each step alone; meaning: the embedding attended over the memory; both in the sentence space.
    Their norm grows with confidence, so ambiguous steps have little weight in the attended sum. density: 0 to 1.
    """

    newest: torch.Tensor
    meaning: torch.Tensor
    density: torch.Tensor


class EncoderNet(nn.Module):
    """Log-mels to embeddings. Batch normalisation and dropout act in training only; `export` folds them away.

    paper: attention as in TPoS, by a weight of each segment alone, and no density.
    even: after training, replace the attention scores by an exponential decay, equal for all steps. Attention that is
    trained on a few hundred clips prefers the newest steps; on unseen clips the plain decay is right more often.
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
        self.bfloat16_convs = False
        """Run the convolutions in bfloat16 while training: half the time on processors that support it."""

    def start(self, batch: int) -> StreamState:
        """The empty state of `batch` new streams."""
        n, z = self.layout, self.heads.weight
        return StreamState(
            z.new_zeros(batch, n.width),
            z.new_zeros(batch, n.width),
            z.new_zeros(batch, n.memory, n.query),
            z.new_zeros(batch, n.memory, n.dim),
            z.new_zeros(batch, n.memory),
            z.new_zeros(batch, n.memory),
            torch.zeros(batch, n.memory, dtype=torch.bool, device=z.device),
        )

    def forward(self, mel: torch.Tensor, state: StreamState) -> tuple[EncoderOutput, StreamState]:
        """Outputs and the state after them. mel: dB [batch, prefix_hops + STEP_HOPS * steps, 80], preceded by the
        last `prefix_hops` hops of the excerpt before."""
        features, h, c = self._segments_and_lstm(mel, state.hidden, state.cell)
        features = self.drop(features)
        spoken, query, keys, salience, strength = self.heads(features).split(self.layout.heads, -1)
        if self.paper:
            query, strength = 0.0 * query, 0.0 * strength
        if self.even and not self.training:
            query, salience = 0.0 * query, 0.0 * salience
        values, salience, loud = spoken, salience[..., 0], self._loud(mel)
        keys_all = torch.cat([state.keys, keys], 1)
        values_all = torch.cat([state.values, values], 1)
        salience_all = torch.cat([state.salience, salience], 1)
        loud_all = torch.cat([state.loud, loud], 1)
        fresh = torch.ones_like(salience, dtype=torch.bool)
        known_all = torch.cat([state.known, fresh], 1)
        meaning = values
        if self.layout.attention:
            weights = self._attend(query, keys_all, salience_all, loud_all, known_all)
            meaning = weights @ values_all
        keep = self.layout.memory
        kept = (keys_all, values_all, salience_all, loud_all, known_all)
        after = StreamState(h, c, *(tensor[:, -keep:] for tensor in kept))
        return EncoderOutput(values, meaning, torch.sigmoid(strength[..., 0])), after

    def _segments_and_lstm(
        self, mel: torch.Tensor, h: torch.Tensor, c: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Segments and LSTM outputs, [batch, steps, 2 * width], and the LSTM's hidden and cell state at the end."""
        segments = self.segments(mel)
        hidden = torch.zeros_like(segments)
        if self.layout.lstm:
            hidden, (last, cell) = self.lstm(segments, (h[None], c[None]))
            h, c = last[0], cell[0]
        return torch.cat([segments, hidden], -1), h, c

    def _loud(self, mel: torch.Tensor) -> torch.Tensor:
        """Level of the loudest band in each step in dB, [batch, steps]."""
        return mel[:, prefix_hops(self.layout) :].amax(-1).unflatten(1, (-1, STEP_HOPS)).amax(-1)

    def memory_means(self, mel: torch.Tensor, steps: Sequence[int]) -> torch.Tensor:
        """Decayed mean of the features of audible steps, after each number of `steps`: [batch, moments, 2 * width].

        mel: as in `forward`, from an empty state.
        """
        start = self.start(len(mel))
        features, _, _ = self._segments_and_lstm(mel, start.hidden, start.cell)
        loud, found = self._loud(mel), []
        for end in steps:
            steps_so_far, level = features[:, :end], loud[:, :end]
            age = torch.arange(steps_so_far.shape[1] - 1, -1, -1, device=mel.device)
            weight = torch.exp(-EVEN_AGEING * age) * (level > level.amax(1, keepdim=True) - self.audible)
            found.append((weight[..., None] * steps_so_far).sum(1) / weight.sum(1, keepdim=True))
        return torch.stack(found, 1)

    def segments(self, mel: torch.Tensor) -> torch.Tensor:
        """Convolution outputs [batch, steps, width], each over the last third of a second. mel: as in `forward`."""
        level = (mel - CENTRE_DB) / SCALE_DB
        seen = level if self.layout.level else torch.zeros_like(level)
        x = torch.stack([seen, level - level.mean(-1, keepdim=True)], -1).permute(0, 3, 1, 2)  # channels last
        with torch.autocast(mel.device.type, torch.bfloat16, enabled=self.bfloat16_convs and self.training):
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
        """Attention weights [batch, steps, memory + steps]: causal, over the last `memory` steps, audible ones only."""
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
        """Weights for `audio_encoder/streaming.py`: normalisation folded into the convolutions, float32."""
        out: dict[str, torch.Tensor] = {}
        norms = [*self.norms, self.segment_norm]
        for index, (conv, norm) in enumerate(zip([*self.convs, self.segment], norms, strict=True)):
            state, weight = norm.state_dict(), conv.state_dict()["weight"]
            gain = state["weight"] / torch.sqrt(state["running_var"] + EPSILON)
            weight = weight * gain.view(-1, *[1] * (weight.dim() - 1))
            # [out, in, ...] to [time, in, frequency, out], the order that the streaming encoder reads.
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
