"""Contact sheets: what the model draws, to be looked at.

`python -m tpos_live.training.image_model.contact_sheet engines/ember docs` writes those of the documentation.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.model.unet_inputs import pack
from tpos_live.evaluation.harness.sampler import Artist, as_tensor
from tpos_live.training.image_model.autoencoder import decode
from tpos_live.training.image_model.dataset import FIELDS, LATENT_CHANNELS, PACKING, Words
from tpos_live.training.image_model.rectified_flow import T_MAX, one_step
from tpos_live.training.scenes.recipe import PLAIN, Recipe, render
from tpos_live.training.text.captions import PHRASES
from tpos_live.training.text.text_encoder import encode

NOISE_CHANNELS = LATENT_CHANNELS // PACKING**2


def save(path: Path, rows: list[torch.Tensor]) -> None:
    """Write rows of pictures [columns, 3, h, w] in [0, 1] as one PNG."""
    from PIL import Image

    whole = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    Image.fromarray((whole.clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).cpu().numpy()).save(path)


@torch.no_grad()
def paint(unet: Any, vae: Any, words: Words, noise: torch.Tensor, recipes: list[Recipe]) -> torch.Tensor:
    """One-step pictures of recipes, [batch, 3, 8h, 8w]."""
    t = torch.full((len(recipes),), T_MAX, device=noise.device)
    latents = one_step(unet, pack(noise, PACKING), t, words.tokens(recipes).float())
    return decode(vae, latents).clamp(0, 1)


def families(
    unet: Any, vae: Any, words: Words, path: Path, names: Sequence[str], compare: bool = True, seed: int = 7
) -> None:
    """Each family in a row at intensity 0.1, 0.5 and 0.95; compare: the render beside each."""
    device = next(unet.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for family in names:
        noise = torch.randn(3, NOISE_CHANNELS, 32, 32, generator=generator).to(device)
        rest = torch.rand(len(PLAIN) - 2, generator=generator).tolist()
        recipes = []
        for intensity in (0.1, 0.5, 0.95):
            recipes.append(Recipe(family, texts=(PHRASES[family][0],), scalars=(intensity, PLAIN[1], *rest)))
        row = paint(unet, vae, words, noise, recipes)
        if compare:
            row = torch.stack([row, render(noise[:, :FIELDS], recipes)], 1).flatten(0, 1)
        rows.append(row)
    half = (len(rows) + 1) // 2
    beside = [torch.cat([a, b]) for a, b in zip(rows[:half], rows[half:], strict=False)]
    save(path, beside)


PROMPTS = (
    "neon jellyfish",
    "an inferno",
    "calm sea at dusk",
    "northern lights over a frozen lake",
    "techno tunnel",
    "golden city at night",
    "watercolour mountains",
    "violet nebula, dark",
    "thunder and rain, black and white",
    "pastel clouds",
    "emerald galaxy",
    "fire and ocean",
    "retro synthwave grid",
    "stained glass",
    "a warehouse rave with lasers",
    "sunbeams between the trees",
)
"""Free prompts, some of them in no caption."""


def prompts(unet: Any, vae: Any, words: Words, path: Path, texts: tuple[str, ...] = PROMPTS, seed: int = 5) -> None:
    """One picture a prompt in one step, four in a row, intensity 0.7."""
    device = next(unet.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    pictures = []
    for text in texts:
        noise = torch.randn(1, NOISE_CHANNELS, 32, 32, generator=generator).to(device)
        # The family does not matter: only the words reach the model.
        recipe = Recipe("fire", texts=(text,), scalars=(0.7, PLAIN[1], 0.3))
        pictures.append(paint(unet, vae, words, noise, [recipe]))
    save(path, [torch.cat(pictures[at : at + 4]) for at in range(0, len(pictures), 4)])


BLENDS = (
    ("neon jellyfish", "fireworks over the bay"),
    ("an inferno", "calm sea at dusk"),
    ("spiral galaxy", "a lotus mandala"),
    ("snow in the mountains", "glowing lava"),
    ("city at night", "aurora borealis"),
    ("pastel clouds", "liquid chrome"),
)
"""Pairs of prompts, to be drawn on the way from one to the other."""


def blends(artist: Artist, path: Path, pairs: Sequence[tuple[str, str]] = BLENDS, seed: int = 11) -> None:
    """A pair of prompts in a row, as a show goes from one to the other: the first, a quarter, half and three quarters
    of the way, the second."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for first, last in pairs:
        noise, scalars = artist.noise(generator), (0.7, PLAIN[1], 0.3)
        a, b = artist.engine.encode(first), artist.engine.encode(last)
        way = [[(a, 1 - share), (b, share)] for share in torch.linspace(0, 1, 5).tolist()]
        rows.append(as_tensor([artist.grow(both, scalars, noise) for both in way]))
    save(path, rows)


def main(engine: Path, folder: Path) -> None:
    """Write the three sheets of an engine folder: families at three intensities, prompts, blends."""
    import tomllib

    from diffusers import AutoencoderTiny, UNet2DConditionModel
    from transformers import AutoTokenizer, BertModel

    unet = UNet2DConditionModel.from_pretrained(engine / "unet").float().eval()
    vae = AutoencoderTiny.from_pretrained(engine / "vae").float().eval()
    encoder = BertModel.from_pretrained(engine / "text_encoder").float().eval()
    words = Words(encoder, AutoTokenizer.from_pretrained(engine / "tokenizer"))
    names = tomllib.loads((engine / "families.toml").read_text(encoding="utf-8"))["families"]
    vocabulary = load_vocabulary(engine, lambda texts: encode(encoder, words.tokenizer, texts)[:, 0])
    told = vocabulary.retell if vocabulary else str  # as a show tells them
    families(unet, vae, words, folder / "ember-families.png", names, compare=False)
    prompts(unet, vae, words, folder / "ember-prompts.png", tuple(map(told, PROMPTS)))
    artist = Artist(load_engine(engine, "cpu"), "eager")
    blends(artist, folder / "ember-blends.png", [(told(a), told(b)) for a, b in BLENDS])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
