"""A small autoencoder for CPUs: one matrix encodes, a decoder with pixel shuffle has few layers at full resolution.

Convolutions with many channels and few positions reach a CPU's peak performance. With few channels and many positions,
as in decoders that end at full resolution, they reach a tenth of it. So the decoder's last layers write 4x4 and 16x16
pixels at once. (Pixel shuffle: Shi et al., CVPR 2016, "Real-Time Single Image and Video Super-Resolution Using an
Efficient Sub-Pixel Convolutional Neural Network".)

The output of a matrix has steps between patches, which show as a regular grid where the image is smooth. A deblocking
filter removes them (List et al. 2003, "Adaptive Deblocking Filter"): as in a video decoder, small steps are smoothed,
while large ones count as edges of the image and stay.

The encoder is a matrix: the principal components of patches, each scaled to unit variance. On rendered scenes 16 of
them keep 31.2 dB and 32 keep 34.3; a trained encoder of 16 channels stood at 26 after 2,000 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

SHUFFLE = 4
"""Pixels along one side that the last layer of the decoder's network writes at once."""


ALONG = 5
"""Pixels along a border over which its step is averaged: steps between patches are longer than edges of detail."""


class Deblocking(nn.Module):
    """Removes small steps between patches from images [batch, 3, h, w].

    The step between two patches is the part of the difference that exceeds the slopes beside the border. Half of the
    correction is applied on each side, and falls to 0 within half a patch. For a step s and the threshold t, the
    correction is s / (1 + (s / t) ** 4): all of a step far below t, almost nothing of one far above.
    """

    def __init__(self, patch: int, threshold: float) -> None:
        """patch: pixels along one side, at least 4. threshold: in the image's own units."""
        super().__init__()
        self.ramp: torch.Tensor
        self.patch, self.threshold = patch, threshold
        half = patch // 2
        # On the CPU explicitly: no file has these values, so they must exist also on a default device "meta".
        fall = (1 - (torch.arange(half, device="cpu") + 0.5) / half) / 2
        self.register_buffer("ramp", torch.cat([fall.flip(0), -fall]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        patch, half = self.patch, self.patch // 2
        if min(height, width) < 2 * patch:
            return x
        # The last two rows (or columns) of each patch except the last one, and the first two of the next patch.
        rows = x.unflatten(2, (height // patch, patch))
        upper, lower = rows[:, :, :-1, -2:], rows[:, :, 1:, :2]
        step = self._kept(upper[:, :, :, 0], upper[:, :, :, 1], lower[:, :, :, 0], lower[:, :, :, 1], (1, ALONG))
        down = (step.unsqueeze(3) * self.ramp.view(-1, 1)).reshape(batch, channels, height - patch, width)
        columns = x.unflatten(3, (width // patch, patch))
        left, right = columns[..., :-1, -2:], columns[..., 1:, :2]
        step = self._kept(left[..., 0], left[..., 1], right[..., 0], right[..., 1], (ALONG, 1))
        aside = (step.unsqueeze(4) * self.ramp).reshape(batch, channels, height, width - patch)
        return x + F.pad(down, (0, 0, half, half)) + F.pad(aside, (half, half, 0, 0))

    def _kept(
        self, before: torch.Tensor, last: torch.Tensor, first: torch.Tensor, after: torch.Tensor, along: tuple[int, int]
    ) -> torch.Tensor:
        """The correction of a border, from two pixels on each side. along: size of the mean, (rows, columns)."""
        step = 1.5 * (first - last) - 0.5 * (after - before)
        step = F.avg_pool2d(step, along, 1, (along[0] // 2, along[1] // 2), count_include_pad=False)
        return step / (1 + (step / self.threshold) ** 4)


class ResBlock(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class Decoder(nn.Module):
    """From latents to images in [-1, 1]: the sum of a matrix and of a network that adds details.

    Each stage of the network except the last doubles the size; the end is a pixel shuffle by SHUFFLE.
    """

    def __init__(
        self, latent_channels: int, channels: Sequence[int], blocks: Sequence[int], patch: int, deblocking: float
    ) -> None:
        super().__init__()
        self.matrix = nn.Conv2d(latent_channels, 3 * patch**2, 1)
        self.shuffle = nn.PixelShuffle(patch)
        layers: list[nn.Module] = [nn.Conv2d(latent_channels, channels[0], 3, padding=1), nn.ReLU()]
        for stage, (here, count) in enumerate(zip(channels, blocks, strict=True)):
            layers += [ResBlock(here) for _ in range(count)]
            if stage + 1 < len(channels):
                layers += [nn.Conv2d(here, 4 * channels[stage + 1], 1), nn.PixelShuffle(2), nn.ReLU()]
        layers += [nn.Conv2d(channels[-1], 3 * SHUFFLE**2, 3, padding=1), nn.PixelShuffle(SHUFFLE)]
        self.network = nn.Sequential(*layers)
        self.smooth: nn.Module = Deblocking(patch, deblocking) if deblocking > 0 else nn.Identity()

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.smooth(self.shuffle(self.matrix(latents)) + self.network(latents))
        return found


class AutoencoderPixelShuffle(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Loads and saves like diffusers' autoencoders. `encode` returns a tensor, `decode` a tuple of length 1."""

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 32,
        downscale: int = 16,
        decoder_channels: Sequence[int] = (128, 64, 32),
        decoder_blocks: Sequence[int] = (2, 2, 1),
        scaling_factor: float = 1.0,
        deblocking: float = 0.0,
    ) -> None:
        """downscale: pixels along one side of a position; it follows from the number of stages, but programs that read
        only the configuration need it. Channels and blocks are listed from the latent's side. deblocking: threshold of
        `Deblocking`, 0 = none."""
        super().__init__()
        if downscale != SHUFFLE * 2 ** (len(decoder_channels) - 1):
            raise ValueError(f"downscale {downscale} does not fit {len(decoder_channels)} stages")
        self.encoder: nn.Module = nn.Conv2d(3, latent_channels, downscale, stride=downscale)
        self.decoder: nn.Module = Decoder(latent_channels, decoder_channels, decoder_blocks, downscale, deblocking)

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """Latents [batch, latent_channels, h, w] of images [batch, 3, downscale * h, downscale * w] in [-1, 1]."""
        found: torch.Tensor = self.encoder(image)
        return found

    def decode(self, latents: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        """Images [batch, 3, H, W] in about [-1, 1], in a tuple of length 1, whatever `return_dict` is."""
        return (self.decoder(latents),)

    def forward(self, image: torch.Tensor) -> Any:
        return self.decode(self.encode(image))[0]
