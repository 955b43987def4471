"""Contact sheets: images that the model generates during training, for inspection by eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tpos_live.diffusion.model.unet_inputs import pack
from tpos_live.scenes.base import FIELDS
from tpos_live.training.image_model.autoencoder import decode
from tpos_live.training.image_model.dataset import LATENT_CHANNELS, PACKING, Words
from tpos_live.training.image_model.recipe import PLAIN, Recipe, render
from tpos_live.training.image_model.rectified_flow import T_MAX, one_step
from tpos_live.training.text.captions import PHRASES

NOISE_CHANNELS = LATENT_CHANNELS // PACKING**2


def save(path: Path, rows: list[torch.Tensor]) -> None:
    """Write rows of images [columns, 3, h, w] in [0, 1] as one PNG."""
    from PIL import Image

    whole = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    Image.fromarray((whole.clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).cpu().numpy()).save(path)


def two_columns(rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """Put the second half of the rows beside the first; a black row makes an odd number even."""
    if len(rows) % 2:
        rows = [*rows, torch.zeros_like(rows[0])]
    half = len(rows) // 2
    return [torch.cat([a, b]) for a, b in zip(rows[:half], rows[half:], strict=True)]


@torch.no_grad()
def generate(unet: Any, vae: Any, words: Words, noise: torch.Tensor, recipes: list[Recipe]) -> torch.Tensor:
    """Images of recipes in one step of the UNet, [batch, 3, 8h, 8w]; noise: [batch, channels, h, w]."""
    t = torch.full((len(recipes),), T_MAX, device=noise.device)
    latents = one_step(unet, pack(noise, PACKING), t, words.tokens(recipes).float())
    return decode(vae, latents).clamp(0, 1)


def families(
    unet: Any, vae: Any, words: Words, path: Path, names: Sequence[str], compare: bool = True, seed: int = 7
) -> None:
    """Write a sheet with a row for each family, at intensity 0.1, 0.5 and 0.95; compare: with its render beside each
    image."""
    device = next(unet.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for family in names:
        noise = torch.randn(3, NOISE_CHANNELS, 32, 32, generator=generator).to(device)
        rest = torch.rand(len(PLAIN) - 2, generator=generator).tolist()
        recipes = []
        for intensity in (0.1, 0.5, 0.95):
            recipes.append(Recipe(family, texts=(PHRASES[family][0],), scalars=(intensity, PLAIN[1], *rest)))
        row = generate(unet, vae, words, noise, recipes)
        if compare:
            row = torch.stack([row, render(noise[:, :FIELDS], recipes)], 1).flatten(0, 1)
        rows.append(row)
    save(path, two_columns(rows))
