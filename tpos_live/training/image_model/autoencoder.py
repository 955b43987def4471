"""Ember's own latent space: 32 principal components of patches of 16 by 16 pixels, and a decoder that is trained."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from tqdm import tqdm

from tpos_live.diffusion.model.pixel_shuffle_vae import AutoencoderPixelShuffle
from tpos_live.training.image_model.dataset import Rendered, Renderer, RenderProcess
from tpos_live.training.precision import autocast

RATE = 2e-3
JITTER = 0.05
"""Noise on the latents in training: what the UNet gives is never exact."""
KEPT = 2000
"""Images that crops are cut from."""
FIRST = 400
"""Images whose patches the matrix is made of."""
DEBLOCKING = 0.2
"""Threshold of the decoder's deblocking filter, in pixels of [-1, 1]."""
GRID = 0.05
"""Weight of `grid_loss` beside the errors of pixels."""
SEGMENT = 8
"""Pixels along a line over which a step is averaged before its size is taken: detail is shorter than borders are."""
CROP = 8
"""Positions of a training crop; the net is convolutional, so crops teach as well as images do."""


def build(images: torch.Tensor) -> Any:
    """The autoencoder with its matrix in place, the decoder's network untrained and silent.

    images: uint8 [n, 3, h, w], of which the principal components are taken; in float32 on the CPU.
    """
    vae = AutoencoderPixelShuffle(deblocking=DEBLOCKING)
    patch, channels = vae.config.downscale, vae.config.latent_channels
    patches = F.pixel_unshuffle(images.cpu().float() / 127.5 - 1, patch).permute(0, 2, 3, 1).flatten(0, 2)
    mean = patches.mean(0)
    covariance = (patches - mean).T @ (patches - mean) / len(patches)
    power, axes = torch.linalg.eigh(covariance.double())
    spread = power[-channels:].flip(0).clamp(min=1e-8).sqrt().float()
    axes = axes[:, -channels:].flip(1).T.float()
    with torch.no_grad():
        into = axes / spread[:, None]
        vae.encoder.weight.copy_(into.view(channels, 3, patch, patch))
        vae.encoder.bias.copy_(-into @ mean)
        vae.decoder.matrix.weight.copy_((axes * spread[:, None]).T[:, :, None, None])
        vae.decoder.matrix.bias.copy_(mean)
        for layer in vae.decoder.network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for block in vae.decoder.network:
            if hasattr(block, "second"):
                block.second.weight.mul_(0.2)
        vae.decoder.network[-2].weight.mul_(0.02)
    return vae


def channel_weights(vae: Any) -> torch.Tensor:
    """How much an error of each latent channel counts, [channels, 1, 1], one in the mean.

    By what the channel adds to an image: its pixels' spread. Counted alike, the finest detail would weigh as much as
    the mean colour; counted by power, it would not weigh at all.
    """
    size = vae.decoder.matrix.weight.detach().flatten(1).norm(dim=0)
    return (size / size.mean()).view(-1, 1, 1)


def edges(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences to the neighbour below and to the right."""
    return image.diff(dim=-2), image.diff(dim=-1)


def image_loss(have: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of pixels, of their edges at two scales and of means over 4 by 4 pixels.

    Edges make blur cost more than a shade does, the means make a lost colour cost.
    """
    loss = F.l1_loss(have, want)
    for _ in range(2):
        for a, b in zip(edges(have), edges(want), strict=True):
            loss = loss + F.l1_loss(a, b)
        have, want = F.avg_pool2d(have, 2), F.avg_pool2d(want, 2)
    return loss + F.l1_loss(have, want)


def steps_by_phase(image: torch.Tensor, patch: int = 16) -> torch.Tensor:
    """Mean size of the steps across each column and row of the patches, [2, patch].

    A step goes beyond the slopes beside it, and is averaged along SEGMENT pixels of its line. Entry 0 is the border of
    two patches; in an image without a grid all are alike. image: [batch, 3, h, w].
    """
    found = []
    for dim, along in ((3, (SEGMENT, 1)), (2, (1, SEGMENT))):
        slope = image.diff(dim=dim)
        count = slope.shape[dim] - 2
        step = slope.narrow(dim, 1, count) - 0.5 * (slope.narrow(dim, 0, count) + slope.narrow(dim, 2, count))
        size = F.avg_pool2d(step, along).abs().mean([n for n in range(4) if n != dim])
        # Place n of `size` has phase n + 2. The sum of each phase by a reshape, and over how many there are.
        after = -(count + 2) % patch
        full = F.pad(torch.stack([size, torch.ones_like(size)]), (2, after))
        total, counted = full.unflatten(1, (-1, patch)).sum(1)
        found.append(total / counted)
    return torch.stack(found)


def grid_loss(have: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
    """How far the steps of some columns and rows of the patches stand out from the others', beyond what those of
    the render do (windows and grids stand on the patches). It is seen as a grid, and weighs little in single pixels."""
    mine, theirs = (steps / steps.mean(1, keepdim=True).detach() for steps in map(steps_by_phase, (have, want)))
    # Detached: a decoder that may raise the mean hides the grid behind steps in every pixel.
    return F.relu(mine - theirs.clamp_min(1)).mean()


def pixel_loss(have: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
    """What an image is trained by: its error, and the grid of patches in it."""
    return image_loss(have, want) + GRID * grid_loss(have, want)


def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Images about [0, 1] of latents."""
    out: torch.Tensor = vae.decode(latents)[0]
    return out * 0.5 + 0.5


def train_autoencoder(minutes: float, seed: int, device: torch.device, batch: int = 16) -> tuple[Any, float]:
    """Make and train; returns the autoencoder and the mean PSNR of the last images in dB."""
    torch.manual_seed(seed)
    images = torch.empty(KEPT, 3, 256, 256, dtype=torch.uint8, device=device)
    quality, steps, filled, first = 0.0, 0, 0, FIRST if minutes >= 1 else 8
    side = 16 * CROP
    begin = time.monotonic()
    renderer = Renderer((32, 32), seed, device=device)
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=round(minutes * 60), unit="s", desc="autoencoder"))
        apart = device.type == "cpu"  # a card renders where it trains, in a second
        process = stack.enter_context(RenderProcess([(1.0, renderer)], seed)) if apart else None

        def keep(new: Rendered) -> None:
            nonlocal filled
            at = torch.arange(filled, filled + len(new.image), device=device) % KEPT
            images[at] = new.image
            filled += len(new.image)

        def collect() -> None:
            while process is None and filled < KEPT:
                keep(renderer.make(50))
            while process is not None and (new := process.take(wait=filled < first)) is not None:
                keep(new[1])

        collect()
        vae = build(images[: min(filled, KEPT)]).to(device)
        vae.train().to(memory_format=torch.channels_last)
        decoder = list(vae.decoder.parameters())
        optimizer = torch.optim.AdamW(decoder, lr=RATE, weight_decay=0.0, betas=(0.9, 0.98), fused=True)
        while (spent := time.monotonic() - begin) < minutes * 60 or steps == 0:
            left = max(0.0, 1 - spent / max(minutes * 60, 1e-6))
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (steps + 1) / 100) * (0.02 + 0.98 * min(1.0, 1.6 * left))
            collect()
            crops = []
            for index in torch.randint(min(filled, KEPT), (batch,)).tolist():
                top, aside = (16 * place for place in torch.randint(16 - CROP + 1, (2,)).tolist())
                crops.append(images[index, :, top : top + side, aside : aside + side])
            want = torch.stack(crops).to(device).float().div_(255).contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                latents = vae.encode(want * 2 - 1)
            with autocast(device.type):
                have = decode(vae, latents + JITTER * torch.randn_like(latents)).float()
            loss = image_loss(have, want)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(decoder, 1.0)
            optimizer.step()
            psnr = -10 * F.mse_loss(have.detach(), want).clamp(min=1e-9).log10().item()
            quality = psnr if steps == 0 else quality + 0.02 * (psnr - quality)
            steps += 1
            bar.n = min(bar.total, int(spent))
            bar.set_postfix(psnr=f"{quality:.2f}", loss=f"{loss.item():.4f}", steps=steps, images=filled, refresh=False)
            bar.update(0)
    vae.eval()
    return vae, quality
