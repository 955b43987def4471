"""A small autoencoder for CPUs: one matrix in, pixel shuffle out, few layers at full size.

Convolutions on many channels and few positions reach a CPU's peak; the reverse, which decoders that end at full
resolution are made of, reaches a tenth of it. So the decoder's last layers write 4 by 4 and 16 by 16 pixels at once.
(Pixel shuffle: Shi et al., CVPR 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
Convolutional Neural Network".)

Where patches meet, what a matrix writes has a step, and a regular grid of steps is seen where the image is smooth. A
deblocking filter takes the steps off (List et al. 2003, "Adaptive Deblocking Filter"): as in a video decoder, small
steps are ramped, large ones are taken for edges of the image and stay.

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
"""Pixels along a border over which its step is averaged: steps of patches are longer than those of detail."""


class Deblocking(nn.Module):
    """Takes the small steps off images [batch, 3, h, w] where patches meet.

    The step between two patches is what goes beyond the slopes beside it. Half of it is taken from each side, falling
    to nothing within half a patch. With s the step and t the threshold, s / (1 + (s / t) ** 4) of it is taken: all of
    what is far below t, nothing of what is far above.
    """

    def __init__(self, patch: int, threshold: float) -> None:
        """patch: pixels along one side, at least 4. threshold: in the image's own units."""
        super().__init__()
        self.ramp: torch.Tensor
        self.patch, self.threshold = patch, threshold
        half = patch // 2
        # By name of the device: no file has these numbers, so that they are made also where weights are left out.
        fall = (1 - (torch.arange(half, device="cpu") + 0.5) / half) / 2
        self.register_buffer("ramp", torch.cat([fall.flip(0), -fall]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        patch, half = self.patch, self.patch // 2
        if min(height, width) < 2 * patch:
            return x
        # The two last rows, or columns, of each patch but the last one, and the two first of the next.
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
        """What is taken off, from the pixels on both sides of a border. along: of the mean, (rows, columns)."""
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
    """Latents to images in [-1, 1]: the matrix back, and a network that adds what no matrix can.

    Each stage of the network but the last doubles the size, the end is a shuffle by SHUFFLE.
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
    """Loads and saves as diffusers' own autoencoders do; `encode` and `decode` give plain tensors and tuples of one."""

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
        """downscale: pixels along one side of a position; it follows from the number of stages, and stands here for
        who reads the configuration alone. Channels and blocks are listed from the latent's side. deblocking: threshold
        of `Deblocking`, 0 = none."""
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
        """Images about [-1, 1], as a tuple of one, whatever `return_dict` says."""
        return (self.decoder(latents),)

    def forward(self, image: torch.Tensor) -> Any:
        return self.decode(self.encode(image))[0]
