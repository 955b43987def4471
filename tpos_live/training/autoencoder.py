"""Ember's own latent space: a stock AutoencoderTiny, 4 channels, 8 pixels a cell, trained on our scenes."""

from __future__ import annotations

import random
import time
from typing import Any

import torch
import torch.nn.functional as F
from tqdm import tqdm

from tpos_live.training.recipe import draw, render

CROP = 16
"""Cells of a training crop; the net is convolutional, so crops teach as well as pictures do."""


def build() -> Any:
    """The untrained autoencoder; the decoder is kept small, it runs for every frame."""
    from diffusers import AutoencoderTiny

    vae = AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32, 32), num_encoder_blocks=(0, 1, 2, 2),
        decoder_block_out_channels=(24, 24, 24, 24), num_decoder_blocks=(2, 1, 1, 0),
        latent_channels=4, scaling_factor=1.0,
    )  # fmt: skip
    with torch.no_grad():
        start_from_means(vae)
    return vae


def edges(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences to the neighbour below and to the right."""
    return picture.diff(dim=-2), picture.diff(dim=-1)


def picture_loss(have: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of pixels, of their edges at two scales and of means over 4 by 4 pixels.

    Edges make blur cost more than a shade does, the means make a lost colour cost.
    """
    loss = F.l1_loss(have, want)
    for _ in range(2):
        for a, b in zip(edges(have), edges(want), strict=True):
            loss = loss + F.l1_loss(a, b)
        have, want = F.avg_pool2d(have, 2), F.avg_pool2d(want, 2)
    return loss + F.l1_loss(have, want)


def start_from_means(vae: Any) -> None:
    """Set the weights so that the untrained net already carries the mean colour of every cell.

    Latent 0 is lightness, 2 is red minus green, 3 is blue minus yellow; 1 is free. A few channels of
    every layer pass these on, the rest starts at random. Left to itself a net this small learns light
    first and finds one axis of colour, late.
    """
    soft = torch.tensor([1.0, 2.0, 1.0])
    soft = soft[:, None] * soft[None, :] / 16
    for net, kept in ((vae.encoder, 3), (vae.decoder, 8)):
        for layer in net.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    layer.bias.zero_()
        for layer in net.layers[:-1]:
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight[:kept] = 0
                for c in range(min(kept, layer.in_channels)):
                    layer.weight[c, c] = soft
            elif hasattr(layer, "fuse"):
                layer.conv[4].weight.mul_(0.3)
                layer.conv[4].weight[:kept] = 0
    first, last = vae.encoder.layers[0], vae.encoder.layers[-1]
    first.weight[:3] = 0
    for c in range(3):
        first.weight[c, c, 1, 1] = 1
    last.weight[[0, 2, 3]] = 0
    mixes = {0: (1.0, 1.0, 1.0), 2: (5.0, -5.0, 0.0), 3: (-2.0, -2.0, 4.0)}
    for row, mix in mixes.items():
        last.weight[row, :3, 1, 1] = torch.tensor(mix)
    last.weight[1] *= 0.5
    last.bias[0] = -1.05
    first, last = vae.decoder.layers[0], vae.decoder.layers[-1]
    first.weight[:8] = 0
    last.weight.mul_(0.05)
    last.weight[:, :8] = 0
    for c, back in ((0, (1 / 3, 1 / 3, 1 / 3)), (1, (0, 0, 0)), (2, (0.1, -0.1, 0)), (3, (-1 / 12, -1 / 12, 1 / 6))):
        for sign, row in ((1.0, 2 * c), (-1.0, 2 * c + 1)):
            first.weight[row, c, 1, 1] = sign
            last.weight[:, row, 1, 1] = sign * torch.tensor(back)
    last.bias.fill_(0.35)


def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pictures about [0, 1] of latents."""
    out: torch.Tensor = vae.decoder(latents)
    return out * 0.5 + 0.5


def train_autoencoder(vae: Any, minutes: float, seed: int, batch: int = 6) -> float:
    """Train in place; returns the mean PSNR of the last pictures in dB."""
    device = next(vae.parameters()).device
    rng = random.Random(seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, weight_decay=0.0, betas=(0.9, 0.98))
    begin, quality, steps = time.monotonic(), 0.0, 0
    vae.train().to(memory_format=torch.channels_last)
    with tqdm(total=round(minutes * 60), unit="s", desc="autoencoder") as bar:
        while (spent := time.monotonic() - begin) < minutes * 60 or steps == 0:
            left = max(0.0, 1 - spent / max(minutes * 60, 1e-6))
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * min(1.0, (steps + 1) / 100) * (0.02 + 0.98 * min(1.0, 1.6 * left))
            with torch.no_grad():
                whole = render(
                    torch.randn(batch // 2, 4, 32, 32, device=device), [draw(rng) for _ in range(batch // 2)]
                )
                crops = []
                for index in range(batch):
                    top, aside = (rng.randrange(256 - 8 * CROP + 1) for _ in range(2))
                    crops.append(whole[index // 2, :, top : top + 8 * CROP, aside : aside + 8 * CROP])
                want = torch.stack(crops).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16):
                latents = vae.encoder(want * 2 - 1).float()
                have = decode(vae, latents + 0.04 * torch.randn_like(latents)).float()
            mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
            loss = picture_loss(have, want) + 0.02 * (mean.square() + (spread - 1).square()).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimizer.step()
            psnr = -10 * F.mse_loss(have.detach(), want).clamp(min=1e-9).log10().item()
            quality = psnr if steps == 0 else quality + 0.02 * (psnr - quality)
            steps += 1
            bar.n = min(bar.total, int(spent))
            bar.set_postfix(
                psnr=f"{quality:.2f}",
                loss=f"{loss.item():.4f}",
                std=f"{spread.mean().item():.2f}",
                steps=steps,
                refresh=False,
            )
            bar.update(0)
    vae.eval()
    return quality
