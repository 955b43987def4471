"""How a second scene changes a prompt's image, for each pair of families of an engine: the figures behind the table
`tpos_live/conditioning/beside.py::SUITS`.

    python benchmarks/beside.py [--images 3] [--all] [--sheet beside.png]

For each prompt's family, and each family whose scenes the director may show beside it (with --all: each), two figures:

- light: relative change of luminance in the 15 % of the image that change most, against the prompt alone. Below -0.1
  the scene looks like a shadow.
- seen: mean absolute change of that part, 0 to 1. Below 0.05 the scene is not visible.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tpos_live.conditioning.beside import CLEARER, SUITS
from tpos_live.conditioning.builder import region_area
from tpos_live.conditioning.vocabulary_file import read_phrases
from tpos_live.core.direction import MAIN
from tpos_live.core.parameters import TABLE
from tpos_live.core.paths import shipped
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.director.director import AREAS
from tpos_live.director.scene_table import SCENES
from tpos_live.display.tone_mapping import LUMA
from tpos_live.evaluation.harness.sampler import SamplerHarness, as_tensor

PART = 0.15
"""Share of the image that is compared: the part that changes most."""
BLACK = 0.02
"""Added to both luminances before their ratio is taken."""
MOMENTS = ((0.6, 0.55, 0.3), (0.85, 0.85, 0.6), (0.35, 0.2, 0.0))
"""Intensity, hue and phase of the images, used in turn."""


def effect(alone: np.ndarray, pair: np.ndarray) -> tuple[float, float]:
    """The figures light and seen of an image without and with the scene, uint8 [h, w, 3] each."""
    before, after = as_tensor([alone]), as_tensor([pair])
    moved = (after - before).abs().mean(1, keepdim=True)
    wide = F.avg_pool2d(moved, 25, 1, 12, count_include_pad=False)
    part = wide >= torch.quantile(wide.flatten(), 1.0 - PART)
    luma = torch.tensor(LUMA).view(1, 3, 1, 1)
    dark, light = ((image * luma).sum(1, keepdim=True)[part].mean().item() + BLACK for image in (before, after))
    return light / dark - 1.0, moved[part].mean().item()


def pairs(
    harness: SamplerHarness, images: int, suits: Mapping[str, Sequence[str]] = SUITS
) -> Iterator[tuple[str, str, str, list[np.ndarray], list[np.ndarray]]]:
    """Family of the prompt, family and text of the scene, and the images without and with the scene, at the weight that
    it has in a main section of music.

    suits: families to pair with each prompt's family; a family without an entry is paired with all."""
    phrases = read_phrases(harness.engine.folder)
    assert phrases is not None
    families = {text: family for family, texts in phrases["family"].items() for text in texts}
    weight = region_area(TABLE["audio.weight"].default) * AREAS[MAIN]
    noises = [harness.noise(torch.Generator().manual_seed(200 + n)) for n in range(images)]
    moments = [MOMENTS[n % len(MOMENTS)] for n in range(images)]
    scenes = [scene.text for scene in SCENES if scene.text in families]
    states = {text: harness.engine.texts.encode(text) for text in scenes}
    for family, texts in phrases["family"].items():
        prompt = harness.engine.texts.encode(texts[0])
        alone = [harness.draw(prompt, *moment) for moment in zip(moments, noises, strict=True)]
        for text in scenes:
            if families[text] != family and families[text] in suits.get(family, families.values()):
                parts = [(prompt, 1.0 - weight), (states[text] * CLEARER.get(family, 1.0), weight)]
                both = [harness.blend(parts, *moment) for moment in zip(moments, noises, strict=True)]
                yield family, families[text], text, alone, both


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", type=Path, default=shipped("engines") / "ember")
    parser.add_argument("--images", type=int, default=3, help="of each pair")
    parser.add_argument("--all", action="store_true", help="also pairs that the director does not choose")
    parser.add_argument("--sheet", type=Path, help="write all pairs as one image: a row for each prompt, alone first")
    args = parser.parse_args()
    harness, last, rows = SamplerHarness(load_engine(args.engine), size=(320, 192)), "", list[list[np.ndarray]]()
    for family, other, text, alone, both in pairs(harness, args.images, {} if args.all else SUITS):
        if family != last:
            print(f"{family}:")
            last, rows = family, [*rows, [alone[0]]]
        rows[-1].append(both[0])
        light, seen = np.mean([effect(*two) for two in zip(alone, both, strict=True)], axis=0)
        shadow = "shadow" if light < -0.1 else "not seen" if seen < 0.05 else ""
        print(f"  {other:14} {text:24} light {light:+.2f} seen {seen:.2f} {shadow}".rstrip(), flush=True)
    if args.sheet:
        height, width = rows[0][0].shape[:2]
        sheet = Image.new("RGB", (width // 2 * max(map(len, rows)), height // 2 * len(rows)))
        for y, row in enumerate(rows):
            for x, image in enumerate(row):
                small = Image.fromarray(image).resize((width // 2, height // 2))
                sheet.paste(small, (x * width // 2, y * height // 2))
        sheet.save(args.sheet)


if __name__ == "__main__":
    main()
