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

    return AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32, 32), num_encoder_blocks=(0, 1, 2, 2),
        decoder_block_out_channels=(24, 24, 24, 24), num_decoder_blocks=(2, 1, 1, 0),
        latent_channels=4, scaling_factor=1.0,
    )  # fmt: skip


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


def colour_guide(picture: torch.Tensor) -> torch.Tensor:
    """Mean red-green and blue-yellow of every cell, about unit variance, [batch, 2, h, w].

    The last two latent channels start as these: left alone, the net finds light first and colour late.
    """
    red, green, blue = F.avg_pool2d(picture, 8).split(1, dim=1)
    return torch.cat([(red - green) * 5, (blue - (red + green) / 2) * 4], dim=1)


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
            guided = F.l1_loss(latents[:, 2:], colour_guide(want)) * max(0.0, 2 * left - 1)
            loss = picture_loss(have, want) + 0.3 * guided + 0.02 * (mean.square() + (spread - 1).square()).mean()
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
