"""Contact sheets for the documentation: `python -m tpos_live.evaluation.sample_images engines/ember docs`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.evaluation.harness.sampler import SamplerHarness, as_tensor
from tpos_live.training.image_model.contact_sheet import NOISE_CHANNELS, families, paint, save
from tpos_live.training.image_model.dataset import Words
from tpos_live.training.image_model.recipe import PLAIN, Recipe
from tpos_live.training.text.families_file import read_families
from tpos_live.training.text.text_encoder import encode

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
    """One image a prompt in one step, four in a row, intensity 0.7."""
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


def blends(harness: SamplerHarness, path: Path, pairs: Sequence[tuple[str, str]] = BLENDS, seed: int = 11) -> None:
    """A pair of prompts in a row, as a show goes from one to the other: the first, a quarter, half and three quarters
    of the way, the second."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for first, last in pairs:
        noise, scalars = harness.noise(generator), (0.7, PLAIN[1], 0.3)
        a, b = harness.engine.encode(first), harness.engine.encode(last)
        way = [[(a, 1 - share), (b, share)] for share in torch.linspace(0, 1, 5).tolist()]
        rows.append(as_tensor([harness.grow(both, scalars, noise) for both in way]))
    save(path, rows)


def main(engine: Path, folder: Path) -> None:
    """Write the three sheets of an engine folder: families at three intensities, prompts, blends."""
    from diffusers import AutoencoderTiny, UNet2DConditionModel
    from transformers import AutoTokenizer, BertModel

    unet = UNet2DConditionModel.from_pretrained(engine / "unet").float().eval()
    vae = AutoencoderTiny.from_pretrained(engine / "vae").float().eval()
    encoder = BertModel.from_pretrained(engine / "text_encoder").float().eval()
    words = Words(encoder, AutoTokenizer.from_pretrained(engine / "tokenizer"))
    names = read_families(engine).offered
    vocabulary = load_vocabulary(engine, lambda texts: encode(encoder, words.tokenizer, texts)[:, 0])
    told = vocabulary.rewrite if vocabulary else str  # as a show tells them
    families(unet, vae, words, folder / "ember-families.png", names, compare=False)
    prompts(unet, vae, words, folder / "ember-prompts.png", tuple(map(told, PROMPTS)))
    harness = SamplerHarness(load_engine(engine, "cpu"), "eager")
    blends(harness, folder / "ember-blends.png", [(told(a), told(b)) for a, b in BLENDS])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
