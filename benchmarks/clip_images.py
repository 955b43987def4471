"""Renders the documentation's animated images and its figure of kicks, with `tpos-live render`.

    python benchmarks/clip_images.py docs                           # demo.webp and kick.webp
    python benchmarks/clip_images.py docs --track By-Product.ogg    # show.webp too: the first 20 s of that track

Look at the results before you commit them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw
from readme_images import SHARP

from tpos_live.audio.demo import DEMO

JELLYFISH = ("--prompt", "neon jellyfish", "--seed", "3")
AROUND = 4.0
"""Seconds before and after the drop in demo.webp."""
PROMPTS, PUNCHES = ("neon jellyfish", "calm sea at sunset"), (0.0, 0.5, 1.0)
KICK, KICK_FPS = 4, 20
"""Index of the kick in the drop that the figure shows, and frames per second: a frame is 50 ms."""
TILE, LEFT, TOP = (224, 126), 84, 18
COLUMNS = {-1: "50 ms before a kick", 0: "kick", 1: "+50 ms", 3: "+150 ms"}


def render(track: Path, seconds: float, fps: int, size: tuple[int, int], *options: str) -> list[Image.Image]:
    """The frames of `tpos-live render`, rendered at twice the size and scaled down."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        large = f"{2 * size[0]}x{2 * size[1]}"
        named = ["-o", str(path), "--seconds", str(seconds), "--fps", str(fps), "--resolution", large]
        subprocess.run([sys.executable, "-m", "tpos_live", "render", str(track), *named, *options], check=True)
        with av.open(str(path)) as video:
            return [frame.to_image().resize(size, Image.Resampling.LANCZOS) for frame in video.decode(video=0)]


def clip(path: Path, frames: list[Image.Image], fps: int, quality: int) -> None:
    """Write an animated image that loops."""
    first, *others = frames
    first.save(path, save_all=True, append_images=others, duration=round(1000 / fps), loop=0, quality=quality, method=6)
    print(f"wrote {path}, {path.stat().st_size} bytes")


def kick_rows(prompt: str, moment: float) -> list[list[Image.Image]]:
    """A row for each of PUNCHES: the frames of COLUMNS, and the change of lightness at the kick (at 64x36 pixels)."""
    rows, at = [], int(moment * KICK_FPS)
    with tempfile.TemporaryDirectory() as folder:
        for punch in PUNCHES:
            settings = Path(folder) / "punch.toml"
            settings.write_text(
                f'[parameters]\n"finish.punch" = {punch}\n"director" = false\n"audio.weight" = 0.0\n', encoding="utf-8"
            )
            options = ("--prompt", prompt, "--seed", "3", "--config", str(settings))
            frames = render(DEMO, moment + 0.5, KICK_FPS, TILE, *options)
            before, kick = (np.asarray(frames[at + n].convert("L").resize((64, 36)), np.float32) for n in (-1, 0))
            change = Image.fromarray((4 * np.abs(kick - before)).clip(0, 255).astype(np.uint8)).convert("RGB")
            rows.append([*(frames[at + n] for n in COLUMNS), change.resize(TILE, Image.Resampling.BICUBIC)])
    return rows


def kick_figure(path: Path, rows: list[list[Image.Image]]) -> None:
    """Write the rows as a table with headings."""
    names = [*COLUMNS.values(), "change at the kick, 64x36"]
    step = (TILE[0] + 2, TILE[1] + 2)
    table = Image.new("RGB", (LEFT + len(names) * step[0], TOP + len(rows) * step[1]), (16, 16, 16))
    draw = ImageDraw.Draw(table)
    for column, name in enumerate(names):
        draw.text((LEFT + (column + 0.5) * step[0], TOP / 2), name, anchor="mm")
    for n, row in enumerate(rows):
        draw.text((6, TOP + (n + 0.5) * step[1]), f"punch {PUNCHES[n % len(PUNCHES)]:g}", anchor="lm")
        for column, image in enumerate(row):
            table.paste(image, (LEFT + column * step[0], TOP + n * step[1]))
    table.save(path, quality=85, method=6)
    print(f"wrote {path}, {path.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--track", type=Path)
    options = parser.parse_args()
    music = json.loads(DEMO.with_suffix(".json").read_text(encoding="utf-8"))
    drop = next(part["start"] for part in music["sections"] if part["name"] == "drop")
    frames = render(DEMO, drop + AROUND, 15, (480, 270), *JELLYFISH, *SHARP)
    clip(options.folder / "demo.webp", frames[-round(2 * AROUND * 15) :], 15, 55)
    if options.track is not None:
        clip(options.folder / "show.webp", render(options.track, 20, 10, (256, 144), *JELLYFISH), 10, 60)
    kick = [moment for moment in music["kicks"] if moment >= drop][KICK]
    kick_figure(options.folder / "kick.webp", [row for prompt in PROMPTS for row in kick_rows(prompt, kick)])


if __name__ == "__main__":
    main()
