"""Draws the README's contact sheets with `tpos-live still`: prompts, sharp scenes, and prompts with sounds.

    python benchmarks/readme_images.py docs                     # shown.webp and sharp.webp: about two minutes
    python benchmarks/readme_images.py docs --sounds FOLDER     # heard.webp too; FOLDER has rain, fire, sea, helicopter

The sound files are named after the sound and can have any format. Look at the sheets before you commit them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tpos_live.audio.demo import DEMO

SHOWN = (
    "calm sea at dusk", "an inferno", "violet nebula", "emerald northern lights",
    "neon jellyfish", "golden mountains", "cyberpunk city in the rain", "savanna at sunset",
    "retro synthwave grid", "plasma globe", "spiral galaxy", "solar eclipse",
    "neon tunnel", "river of lava", "thunderstorm", "a jellyfish in fire",
)  # fmt: skip
HEARD = ("neon jellyfish", "cyberpunk city in the rain", "violet nebula")
SOUNDS = ("rain", "fire", "sea", "helicopter")
SHARP = ["--source", "scene:prompt", "--source-amount", "0.8"]
SIZE = (360, 202)
LARGE = "720x404"


def still(prompt: str, *options: str, seed: int = 3) -> Image.Image:
    """One image of `tpos-live still`, post-processed as in a show."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        named = ["--prompt", prompt, "--seed", str(seed), "--resolution", LARGE, "-o", str(path)]
        subprocess.run([sys.executable, "-m", "tpos_live", "still", *named, *options], check=True, capture_output=True)
        return Image.open(path).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)


def sheet(path: Path, images: list[Image.Image], columns: int) -> None:
    """Write images as a table, row by row."""
    width, height = SIZE
    table = Image.new("RGB", (columns * width, -(-len(images) // columns) * height))
    for n, image in enumerate(images):
        table.paste(image, (n % columns * width, n // columns * height))
    path.parent.mkdir(parents=True, exist_ok=True)
    table.save(path, quality=88, method=6)
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sounds", type=Path)
    options = parser.parse_args()
    sheet(options.folder / "shown.webp", [still(prompt) for prompt in SHOWN], 4)
    sheet(options.folder / "sharp.webp", [still(prompt, *SHARP) for prompt in SHOWN], 4)
    if options.sounds is not None:
        files = [next(options.sounds.glob(f"{sound}.*")) for sound in SOUNDS] + [DEMO]
        rows = [[still(prompt), *(still(prompt, "--audio", str(file)) for file in files)] for prompt in HEARD]
        sheet(options.folder / "heard.webp", [image for row in rows for image in row], 1 + len(files))


if __name__ == "__main__":
    main()
