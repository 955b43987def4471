"""Extra input channels of a UNet: low-passes of the noise, and coordinates of each position.

A convolution sees few positions and is the same everywhere. So a small UNet spends most of its layers and training on
two things that can be computed: wide averages of its noise, which scenes are made of, and the coordinates of a
position, which it can only derive from the zero padding (Islam et al., ICLR 2020, "How Much Position Information Do
Convolutional Neural Networks Encode?"; coordinates as channels: Liu et al., NeurIPS 2018, "An Intriguing Failing of
Convolutional Neural Networks and the CoordConv Solution"; as Fourier features: Tancik et al., NeurIPS 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.diffusion.model.unet_wrapper import UnetWrapper

ALONG = (1, 2, 4, 8)
"""Frequencies of waves along x and y, in quarter periods from the middle to the border."""
AROUND = (1, 2, 4, 6)
"""Frequencies of waves around the middle, in periods per turn."""
RINGS = (1.0, 2.5, 5.0, 8.0)
"""Frequencies of waves along the logarithm of the radius, as in a tunnel."""
WAVES = 4 * len(ALONG) + 2 * len(AROUND) + 2 * len(RINGS) + 4
"""Channels of `positions`."""


Blur = float | tuple[float, float]
"""Standard deviation of a low-pass in positions, or (along y, along x)."""


def extra_channels(fields: int, blurs: Sequence[Blur]) -> int:
    """Channels that `ExtraInputs` appends to a latent."""
    return len(blurs) * fields + WAVES


def pack(noise: torch.Tensor, packing: int) -> torch.Tensor:
    """Noise [batch, c, h * packing, w * packing] as [batch, c * packing**2, h, w]: the same values, still white."""
    return F.pixel_unshuffle(noise, packing) if packing > 1 else noise


def positions(h: int, w: int) -> np.ndarray:
    """Coordinates of each position and waves of them, float32 [1, WAVES, h, w], in about [-1, 1].

    y runs from -1 to 1, x from -w / h to w / h.
    """
    y, x = np.meshgrid((np.arange(h) + 0.5) / h * 2 - 1, ((np.arange(w) + 0.5) / w * 2 - 1) * (w / h), indexing="ij")
    radius = np.sqrt(x * x + y * y)
    depth, angle = -np.log(radius + 0.1), np.arctan2(y, x)
    rows = [wave(np.pi * k * axis / 2) for k in ALONG for axis in (x, y) for wave in (np.sin, np.cos)]
    rows += [wave(k * angle) for k in AROUND for wave in (np.sin, np.cos)]
    rows += [wave(k * depth) for k in RINGS for wave in (np.sin, np.cos)]
    rows += [x, y, radius, np.exp(-2 * radius * radius)]
    return np.stack(rows)[None].astype(np.float32)


def blur_matrix(length: int, sigma: float) -> np.ndarray:
    """Gaussian low-pass along one axis, float32 [length, length]: white noise keeps its variance, at the border too."""
    at = np.arange(length)
    apart = (at[:, None] - at[None, :]) / sigma
    weights = np.exp(-0.5 * apart * apart) * (np.abs(apart) <= 2.5)
    found: np.ndarray = (weights / np.sqrt(np.square(weights).sum(1, keepdims=True))).astype(np.float32)
    return found


def _constant(
    make: Callable[..., np.ndarray], arguments: tuple[float, ...], device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """The result of `make` as a tensor, cached for the sizes in use; do not write to it."""
    # Not cached while tracing: the tracer compares two runs, and a cached tensor would differ in the second.
    found = _made if torch.jit.is_tracing() else _kept
    return found(make, arguments, device, dtype)


def _made(
    make: Callable[..., np.ndarray], arguments: tuple[float, ...], device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    with torch.inference_mode(False):
        made = torch.from_numpy(make(*arguments))
        return made if made.dtype == dtype and made.device == device else made.to(device, dtype)


_kept = lru_cache(maxsize=64)(_made)


class ExtraInputs(torch.nn.Module):
    """Appends low-passes and positions to a latent. Has no weights."""

    def __init__(self, packing: int, fields: int, blurs: Sequence[Blur]) -> None:
        """packing: of the noise (see `pack`). fields: number of channels of the unpacked noise, from the first, that
        are low-passed. blurs: of the low-passes."""
        super().__init__()
        self.packing, self.fields = packing, fields
        self.blurs = tuple((sigma, sigma) if isinstance(sigma, float) else tuple(sigma) for sigma in blurs)

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        """sample: [batch, c, h, w]. Returns [batch, c + extra_channels(...), h, w]."""
        batch, _, h, w = sample.shape
        own, where = self.packing**2, (sample.device, sample.dtype)
        mean = sample[:, : self.fields * own].reshape(batch, self.fields, own, h, w).sum(2) / math.sqrt(own)
        parts = [sample]
        for along_y, along_x in self.blurs:
            down = _constant(blur_matrix, (int(h), along_y), *where)
            across = _constant(blur_matrix, (int(w), along_x), *where)
            parts.append(torch.matmul(torch.matmul(down, mean), across.T))
        parts.append(_constant(positions, (int(h), int(w)), *where).expand(batch, -1, -1, -1))
        return torch.cat(parts, 1)


@dataclass(frozen=True)
class Layout:
    """Numbers of rows in the conditioning of an ExtendedUnet, in order: prompt, audio, scalars, second prompt."""

    text: int
    audio: int
    scalars: int

    @property
    def second(self) -> int:
        """The first row of the second prompt."""
        return self.text + self.audio + self.scalars

    @property
    def rows(self) -> int:
        return self.second + self.text


VECTORS = 6
"""Vectors of a token's width in `summary`."""


def summary(tokens: torch.Tensor, layout: Layout) -> torch.Tensor:
    """A summary of the conditioning, [batch, VECTORS * dim]: sentence vector and mean of both prompts, mean of the
    audio tokens, sum of the scalars.

    Layers use it with the time embedding, as scale and shift, because attention alone learns global facts slowly.
    tokens: [batch, layout.rows, dim].
    """
    text, at = layout.text, layout.second
    heard, scalars = tokens[:, text : text + layout.audio], tokens[:, text + layout.audio : at]
    prompts = [tokens[:, 0], tokens[:, :text].mean(1), tokens[:, at], tokens[:, at:].mean(1)]
    return torch.cat([*prompts, heard.mean(1), scalars.sum(1)], 1)


class ExtendedUnet(UnetWrapper):
    """A UNet with extra input channels, and with the summary of its tokens as class embedding."""

    def __init__(self, unet: torch.nn.Module, extra: ExtraInputs, layout: Layout) -> None:
        super().__init__(unet)
        self.extra, self.layout = extra, layout

    def inputs(self, sample: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, dict[str, object]]:
        return self.extra(sample), {"encoder_hidden_states": tokens, "class_labels": summary(tokens, self.layout)}
