"""Measures how varied hours of the autopilot are: a show file played to real music, without any control.

    python benchmarks/hands_off.py OUT [TRACK ...] [--hours 2] [--show-file FILE] [--order random] [--bars 16]

The show runs faster than real time: audio analysis, director, looks and their fades are those of a live show, and two
images are drawn for each second of it (0.2 s of processor time on an AVX-512 Xeon). TRACKs are played in turn and
repeated; the default is the built-in track. OUT gets `sheet.webp`, an image every --every seconds with its look and
time, and `figures.json`; both are updated after every tenth image. Ctrl-C ends the show early with a report.

similarity: mean correlation of two images this many seconds apart, at 32 x 18 pixels in colour; 1 = identical. "far
apart": of images 20 minutes or more apart, the lower limit for all lags.
scenes: scenes that the engine's classifier finds for 3 s or longer.
still: the longest time in which the mean change of lightness (CIE L*, 0 to 100, at the resolution of the back row)
stays below STILL. dark: share of the images with a mean lightness below DARK. blown out: share of the images of which
BLOWN is white. seen again: share of the images with a correlation above AGAIN to one of 1 to 10 minutes before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tpos_live.audio.conversion import Downmix
from tpos_live.audio.demo import DEMO
from tpos_live.audio.files import AudioClip
from tpos_live.audio.source import RATE, Chunk
from tpos_live.control.look_player import LookPlayer
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.core.show_file import read_show
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.postfx import postfx_params
from tpos_live.evaluation.classifier.model import load_classifier
from tpos_live.evaluation.harness.sampler import as_tensor
from tpos_live.evaluation.show import SIMILAR, back_row, scenes, shrink
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.frame_analysis import frame_pieces
from tpos_live.runtime.offline import improve
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.runtime.show_keeper import SHIPPED

STEPS, DRAWN = 10, 2
"""Steps of the looks, and images, in a second of the show. Fades follow from the time, not from the count of frames."""
SIZE = (320, 180)
LAGS, FAR = (10, 60, 300, 1800), 1200
STILL, DARK, BLOWN, AGAIN = 3.0, 8.0, 0.25, 0.93
WHITE = 95.0
"""Lightness."""
CELL, COLUMNS = (160, 90), 10


@dataclass
class Seen:
    """What was shown: DRAWN images a second, small for the comparison and as the back row sees them; the scene that the
    classifier names, the look, and the images of the sheet with their seconds."""

    small: list[np.ndarray] = field(default_factory=list)
    back: list[np.ndarray] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    samples: list[tuple[float, str, Image.Image]] = field(default_factory=list)

    def push(self, pixels: np.ndarray, name: str, look: str) -> None:
        image = shrink(pixels, SIMILAR).ravel()
        image = image - image.mean()
        self.small.append((image / max(float(np.linalg.norm(image)), 1e-6)).astype(np.float32))
        self.back.append(back_row(pixels)[0].astype(np.float16))
        self.names.append(name)
        self.looks.append(look)

    @property
    def seconds(self) -> float:
        return len(self.small) / DRAWN


def endless(tracks: list[Path]) -> Iterator[np.ndarray]:
    """The tracks in turn, cut into frames, float32 [n, 2]."""
    for track in itertools.cycle(tracks):
        yield from (piece for piece in frame_pieces(AudioClip(track), STEPS) if len(piece))


def watch(options: argparse.Namespace, seen: Seen) -> None:
    """Run the show and add its images to `seen`, which is complete up to any interruption."""
    settings = load_settings({"record.resolution": f"{SIZE[0]}x{SIZE[1]}", "parameters.seed": options.seed})
    start = {**settings.start_values(), "autopilot": True, "autopilot.order": options.order}
    store = ParameterStore({**start, "autopilot.bars": options.bars, "out.inbetween": False})
    player = LookPlayer(store, read_show(options.show_file))
    compositor, heard, downmix, began = CpuCompositor(SIZE), 0, Downmix(2, name="the sound"), time.monotonic()
    with Pipeline(settings, live=False, output=SIZE) as pipeline:
        improve(pipeline)
        classifier, _ = load_classifier(pipeline.engine.folder)
        audio = AudioProcessor(pipeline.encoder, offered=pipeline.offered, suited=pipeline.suited, turns=pipeline.turns)
        player.recall("1", 0.0, "now")
        for index, stereo in enumerate(endless(options.tracks or [DEMO])):
            if heard >= options.hours * 3600 * RATE:
                return
            mono = downmix.push(stereo)
            heard += len(mono)
            audio.process(Chunk(mono, stereo, captured_at=heard / RATE), store.snapshot())
            params, now = audio.params, audio.features
            player.step(heard / RATE, now, params.cut_index)
            if index % (STEPS // DRAWN):
                continue
            snapshot = store.snapshot()
            frame = pipeline.draw(params, audio.embedding.latest(), snapshot, now=params.time)
            assert frame is not None  # not live: it waits for the prompt
            pixels = compositor.compose(postfx_params(params, snapshot, None, frame, params.time, params.time), frame)
            family = classifier.families[int(classifier(as_tensor([frame.pixels])).argmax())]
            seen.push(pixels, family, player.shown)
            if index % (options.every * STEPS) == options.every * STEPS // 2:
                image = Image.fromarray(pixels).resize(CELL, Image.Resampling.LANCZOS)
                seen.samples.append((heard / RATE, player.shown, image))
                if len(seen.samples) % 10 == 0:
                    report(options.out, seen)
                print(f"\r{heard / RATE / 60:.1f} min in {time.monotonic() - began:.0f} s", end="", file=sys.stderr)


def figures(seen: Seen) -> dict[str, Any]:
    """All figures of the images so far."""
    small, back = np.array(seen.small), np.array(seen.back, np.float32)
    light = back.mean(axis=(1, 2))
    white = (back > WHITE).mean(axis=(1, 2))
    change = np.abs(back[DRAWN:] - back[:-DRAWN]).mean(axis=(1, 2))
    similarity = {f"{lag} s": _alike(small, lag) for lag in LAGS if seen.seconds > 2 * lag}
    far = [_alike(small, lag) for lag in range(FAR, int(seen.seconds) - 60, 97)]
    recalls = [(look, len(list(run)) / DRAWN) for look, run in itertools.groupby(seen.looks)]
    return {
        "minutes": round(seen.seconds / 60, 1),
        "similarity": similarity | ({"far apart": round(float(np.mean(far)), 3)} if far else {}),
        "scenes": sorted(scenes(seen.names)),
        "recalls": len(recalls),
        "look_seconds": [min(s for _, s in recalls[:-1] or recalls), max(s for _, s in recalls)],
        "still_s": _stillest(back),
        "change_l": {q: round(float(np.quantile(change, p)), 2) for q, p in (("p5", 0.05), ("p50", 0.5))},
        "dark": round(float((light < DARK).mean()), 4),
        "blown_out": round(float((white > BLOWN).mean()), 4),
        "seen_again": round(_again(small), 4),
        "looks": _by_look(seen, light, white, change),
    }


def _alike(small: np.ndarray, lag: int) -> float:
    return round(float(np.einsum("ij,ij->i", small[: -DRAWN * lag], small[DRAWN * lag :]).mean()), 3)


def _stillest(back: np.ndarray) -> dict[str, float]:
    """The longest time without a visible change, and its start, in seconds."""
    longest, at, first = 0, 0, 0
    for n in range(1, len(back)):
        if np.abs(back[n] - back[first]).mean() > STILL:
            first = n
        elif n - first > longest:
            longest, at = n - first, first
    return {"longest": longest / DRAWN, "from": at / DRAWN}


def _again(small: np.ndarray) -> float:
    """Share of the images with a near copy 1 to 10 minutes before; one image in 5 s is compared."""
    some = small[:: 5 * DRAWN]
    return float(
        np.mean([bool((some[max(n - 120, 0) : n - 11] @ some[n] > AGAIN).any()) for n in range(12, len(some))] or [0])
    )


def _by_look(seen: Seen, light: np.ndarray, white: np.ndarray, change: np.ndarray) -> dict[str, Any]:
    """For each look: minutes, lightness (mean, 5th percentile), share of white, change per second, most frequent
    scenes."""
    where: dict[str, list[int]] = defaultdict(list)
    for n, look in enumerate(seen.looks[:-DRAWN]):
        where[look].append(n)
    rows = {}
    for look, at in where.items():
        names = [seen.names[n] for n in at]
        rows[look] = {
            "min": round(len(at) / 60 / DRAWN, 1),
            "lightness": [round(float(light[at].mean()), 1), round(float(np.quantile(light[at], 0.05)), 1)],
            "white": round(float(white[at].mean()), 3),
            "change": round(float(np.median(change[at])), 2),
            "named": {name: names.count(name) for name in sorted(set(names), key=names.count, reverse=True)[:3]},
        }
    return rows


def sheet(path: Path, seen: Seen) -> None:
    """A contact sheet: row by row, with time and look."""
    rows = -(-len(seen.samples) // COLUMNS)
    table = Image.new("RGB", (COLUMNS * CELL[0], rows * (CELL[1] + 12)))
    draw = ImageDraw.Draw(table)
    for n, (at, look, image) in enumerate(seen.samples):
        x, y = n % COLUMNS * CELL[0], n // COLUMNS * (CELL[1] + 12)
        table.paste(image, (x, y + 12))
        draw.text((x + 2, y), f"{int(at) // 60}:{int(at) % 60:02d} {look}"[:26], fill=(200, 200, 200))
    table.save(path, quality=85)


def report(folder: Path, seen: Seen) -> dict[str, Any]:
    """Write figures and contact sheet of the images so far; returns the figures."""
    found = figures(seen)
    (folder / "figures.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sheet(folder / "sheet.webp", seen)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("tracks", type=Path, nargs="*")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--every", type=int, default=24, help="seconds between the images of the sheet")
    parser.add_argument("--show-file", type=Path, default=SHIPPED)
    parser.add_argument("--order", choices=("order", "random"), default="random")
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seen = Seen()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    try:
        watch(options, seen)
    except KeyboardInterrupt:
        print("\nended early", file=sys.stderr)
    print(json.dumps(report(options.out, seen)))


if __name__ == "__main__":
    main()
