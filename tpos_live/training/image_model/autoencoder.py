"""Ember's autoencoder: the encoder is a PCA of patches of 16 by 16 pixels to 32 components; the decoder is trained."""

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
"""Standard deviation of noise on the latents in training, because the UNet's latents are not exact."""
KEPT = 2000
"""Capacity of the pool of images that crops are taken from."""
FIRST = 400
"""Images for the principal components, before the training starts."""
DEBLOCKING = 0.2
"""Threshold of the decoder's deblocking filter, in pixels of [-1, 1]."""
GRID = 0.05
"""Weight of `grid_loss` in `pixel_loss`."""
SEGMENT = 8
"""Pixels along a border over which a step is averaged before its absolute value is taken, so that short detail cancels
out and patch borders remain."""
CROP = 8
"""Side of a training crop in latent positions of 16 pixels. The network is convolutional, so crops are enough."""


def build(images: torch.Tensor) -> Any:
    """The autoencoder with its PCA matrices set and the decoder's network untrained, its output near zero.

    images: uint8 [n, 3, h, w], for the principal components. The result is in float32 on the CPU.
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
    """Weight of each latent channel in the loss, [channels, 1, 1], with a mean of one.

    It is proportional to the standard deviation that the channel adds to the pixels. With equal weights the finest
    detail would count as much as the mean colour; with weights by variance it would hardly count.
    """
    size = vae.decoder.matrix.weight.detach().flatten(1).norm(dim=0)
    return (size / size.mean()).view(-1, 1, 1)


def edges(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of each pixel to the one below and to the one on the right."""
    return image.diff(dim=-2), image.diff(dim=-1)


def image_loss(have: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of pixels, of their edges at two scales and of means over 4 by 4 pixels.

    The edges penalise blur more than a small error of brightness; the means penalise wrong colours.
    """
    loss = F.l1_loss(have, want)
    for _ in range(2):
        for a, b in zip(edges(have), edges(want), strict=True):
            loss = loss + F.l1_loss(a, b)
        have, want = F.avg_pool2d(have, 2), F.avg_pool2d(want, 2)
    return loss + F.l1_loss(have, want)


def steps_by_phase(image: torch.Tensor, patch: int = 16) -> torch.Tensor:
    """Mean absolute step at each column and row position within a patch, [2, patch].

    A step is the difference of two neighbours minus the mean of the differences on both sides, averaged along SEGMENT
    pixels of the line. Entry 0 is the border between two patches; without a visible grid all entries are similar.
    image: [batch, 3, h, w].
    """
    found = []
    for dim, along in ((3, (SEGMENT, 1)), (2, (1, SEGMENT))):
        slope = image.diff(dim=dim)
        count = slope.shape[dim] - 2
        step = slope.narrow(dim, 1, count) - 0.5 * (slope.narrow(dim, 0, count) + slope.narrow(dim, 2, count))
        size = F.avg_pool2d(step, along).abs().mean([n for n in range(4) if n != dim])
        # Position n of `size` has phase n + 2. A reshape sums each phase and counts its positions.
        after = -(count + 2) % patch
        full = F.pad(torch.stack([size, torch.ones_like(size)]), (2, after))
        total, counted = full.unflatten(1, (-1, patch)).sum(1)
        found.append(total / counted)
    return torch.stack(found)


def grid_loss(have: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
    """Penalty for a visible grid of patches: how far relative steps exceed those of the render, at each position of
    the patch. A render may have steps there itself (windows of a city). Pixel errors hardly measure such a grid."""
    mine, theirs = (steps / steps.mean(1, keepdim=True).detach() for steps in map(steps_by_phase, (have, want)))
    # Detached: otherwise the decoder could reduce the loss by larger steps in all pixels.
    return F.relu(mine - theirs.clamp_min(1)).mean()


def pixel_loss(have: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
    """The loss of an image in pixels: `image_loss` and, weighted, `grid_loss`."""
    return image_loss(have, want) + GRID * grid_loss(have, want)


def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Images of latents, float in about [0, 1]; not clamped."""
    out: torch.Tensor = vae.decode(latents)[0]
    return out * 0.5 + 0.5


def train_autoencoder(minutes: float, seed: int, device: torch.device, batch: int = 16) -> tuple[Any, float]:
    """Build and train it; returns the autoencoder and the running mean of the PSNR in dB."""
    torch.manual_seed(seed)
    images = torch.empty(KEPT, 3, 256, 256, dtype=torch.uint8, device=device)
    quality, steps, filled, first = 0.0, 0, 0, FIRST if minutes >= 1 else 8
    side = 16 * CROP
    begin = time.monotonic()
    renderer = Renderer((32, 32), seed, device=device)
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=round(minutes * 60), unit="s", desc="autoencoder"))
        apart = device.type == "cpu"  # a GPU renders all images itself within a second
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
