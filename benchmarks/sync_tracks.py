"""Runs `tpos-live render` and `evaluate sync` on a minute of each track in a folder, and prints a table.

    python benchmarks/sync_tracks.py MUSIC [--prompt "neon jellyfish"] [--seconds 60] [--skip 30]

The engine draws at 128x128, because z is measured at 64x64, and without grain, which would only add noise. It takes
about two minutes for a track on two cores. Results are cached in --work.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import click
import soundfile

NAMES = {
    "z": "z of the best correlation",
    "allowed": "z of the sound with itself",
    "lag, ms": "peak lag",
    "half a beat off": "z half a beat off, within 40 ms",
    "strobe": "z of a strobe on the beat",
    "AV-Align": "AV-Align minus shuffled",
}


@click.command()
@click.argument("music", type=click.Path(exists=True, path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/sync"), show_default=True)
@click.option("--prompt", default="neon jellyfish", show_default=True)
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--skip", default=30.0, show_default=True, help="Seconds before the cut, where there are any.")
def main(music: Path, work: Path, prompt: str, seconds: float, skip: float) -> None:
    work.mkdir(parents=True, exist_ok=True)
    config = work / "config.toml"
    config.write_text('[parameters]\n"finish.grain" = 0.0\n', encoding="utf-8")
    rows = []
    for path in sorted(path for path in music.rglob("*") if path.suffix in (".ogg", ".flac", ".wav", ".mp3")):
        name = "-".join(path.relative_to(music).with_suffix("").parts[-2:]).replace(" ", "_")
        found = work / f"{name}.json"
        if not found.exists():
            cut, video = work / f"{name}.wav", work / f"{name}.mp4"
            if not video.exists():
                sound, rate = soundfile.read(path)
                begin = round(min(skip, max(len(sound) / rate - seconds, 0.0)) * rate)
                soundfile.write(cut, sound[begin : begin + round(seconds * rate)], rate)
                size = ["--size", "128x128", "--resolution", "128x128", "--fps", "30"]
                tool("render", str(cut), "-o", str(video), *size, "--config", str(config), "--prompt", prompt)
            found.write_text(tool("evaluate", "sync", str(video), "--json"), encoding="utf-8")
        told = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
        values = {row["name"]: row["value"] for row in told}
        rows.append([values[long] for long in NAMES.values()])
        print(f"{name:<40}", *(f"{value:8.2f}" for value in rows[-1]), flush=True)
    if not rows:
        sys.exit(f"there is no music in {music}")
    middle = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"{f'median of {len(rows)}':<40}", *(f"{value:8.2f}" for value in middle))
    print(" " * 40, *(f"{name:>8}" for name in NAMES))
    print(f"z >= 5 on {sum(row[0] >= 5 for row in rows)}, allowed >= 5 on {sum(row[1] >= 5 for row in rows)}")


def tool(*arguments: str) -> str:
    """The output of a `tpos-live` command. Ends the program if it fails; a missed threshold (exit 1) is no failure."""
    done = subprocess.run([sys.executable, "-m", "tpos_live", *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit((done.stderr.strip() or f"tpos-live ended with {done.returncode}").splitlines()[-1])
    return done.stdout


if __name__ == "__main__":
    main()
