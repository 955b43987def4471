"""Contact sheets for the documentation: `python -m tpos_live.evaluation.sample_images engines/ember docs`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.evaluation.harness.sampler import SamplerHarness, as_tensor
from tpos_live.training.image_model.contact_sheet import save, two_columns
from tpos_live.training.image_model.recipe import PLAIN
from tpos_live.training.text.captions import PHRASES
from tpos_live.training.text.families_file import read_families

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
"""Free prompts; some of them are in no caption."""


def families(harness: SamplerHarness, path: Path, names: Sequence[str], seed: int = 7) -> None:
    """Each family at intensity 0.1, 0.5 and 0.95, two families in a row."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for name in names:
        states = harness.engine.texts.encode(PHRASES[name][0])
        scalars = [(intensity, *torch.rand(2, generator=generator).tolist()) for intensity in (0.1, 0.5, 0.95)]
        rows.append(as_tensor([harness.draw(states, given, harness.noise(generator)) for given in scalars]))
    save(path, two_columns(rows))


def prompts(harness: SamplerHarness, path: Path, texts: Sequence[str] = PROMPTS, seed: int = 5) -> None:
    """One image for each prompt in one step at intensity 0.7, four in a row."""
    generator = torch.Generator().manual_seed(seed)
    scalars = (0.7, PLAIN[1], 0.3)
    images = [harness.draw(harness.engine.texts.encode(text), scalars, harness.noise(generator)) for text in texts]
    save(path, [as_tensor(images[at : at + 4]) for at in range(0, len(images), 4)])


BLENDS = (
    ("neon jellyfish", "fireworks over the bay"),
    ("an inferno", "calm sea at dusk"),
    ("spiral galaxy", "a lotus mandala"),
    ("snow in the mountains", "glowing lava"),
    ("city at night", "aurora borealis"),
    ("pastel clouds", "liquid chrome"),
)
"""Pairs of prompts for the sheet of crossfades."""


def blends(harness: SamplerHarness, path: Path, pairs: Sequence[tuple[str, str]] = BLENDS, seed: int = 11) -> None:
    """A row for each pair of prompts, with the crossfade of a show at 0, 25, 50, 75 and 100 %."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for first, last in pairs:
        noise, scalars = harness.noise(generator), (0.7, PLAIN[1], 0.3)
        a, b = harness.engine.texts.encode(first), harness.engine.texts.encode(last)
        way = [[(a, 1 - share), (b, share)] for share in torch.linspace(0, 1, 5).tolist()]
        rows.append(as_tensor([harness.blend(both, scalars, noise) for both in way]))
    save(path, rows)


def main(folder: Path, out: Path) -> None:
    """Write the three sheets of an engine folder: families at three intensities, prompts, blends."""
    harness = SamplerHarness(load_engine(folder, "cpu"), "eager")
    vocabulary = load_vocabulary(folder, harness.engine.texts.sentences)
    rewritten = vocabulary.rewrite if vocabulary else str  # as in a show
    families(harness, out / "ember-families.png", read_families(folder).offered)
    prompts(harness, out / "ember-prompts.png", [rewritten(text) for text in PROMPTS])
    blends(harness, out / "ember-blends.png", [(rewritten(a), rewritten(b)) for a, b in BLENDS])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
