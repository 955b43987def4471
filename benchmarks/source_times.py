"""Timing of image sources: recovery after a loss, latency from picture to frame, drift over an hour of film.

    python benchmarks/source_times.py unplug [--times 20]
    python benchmarks/source_times.py latency [--seconds 20] [--engine auto] [--size 320x192]
    python benchmarks/source_times.py film [--minutes 60]

Each prints one JSON line.

unplug: another process sends pictures by NDI (on loopback; needs the extra `ndi`). It is killed until the loss is
reported, then started again. Target: each time a new picture at most 2 s after the first one that it sends.
latency: a source of 25 numbered pictures per second is drawn with `source.amount` 1, so that frames show the numbers.
Reports the time from a picture's creation to the end of the first frame that shows it, minus the frame's own time.
Target: 95th percentile at most 40 ms, the period of the source.
film: a clip of that length at 25 pictures per second is played on a fast clock, with the show's own time integration
and a request every 30 ms, then past its end and at other speeds. Reports the largest error of the shown picture, in
pictures (target: at most 1), and the growth of memory from the first quarter to the end (target: near 0).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fakes.clips import number_of, numbered, write_clip
from fakes.ndi_loopback import LOOPBACK

from tpos_live.bench.results import processor
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.image_source.live_source import LiveSource
from tpos_live.image_source.open import open_source
from tpos_live.image_source.player import SourcePlayer
from tpos_live.image_source.reader import Reader, Wanted
from tpos_live.modulation.integrator import ModulationIntegrator
from tpos_live.runtime.offline import improve
from tpos_live.runtime.pipeline import Pipeline

SENDER = Path(__file__).parent.parent / "tests" / "fakes" / "ndi_sender.py"
SIZE = (128, 64)
RATE = 25
HOPS = 100
"""Integrator steps per second."""
SPEEDS = (50, 200, 100, 400, 25, 150, 300, 100)
"""Speeds in percent after the end of the film, 20 s each."""
LONGEST = 30.0
"""Timeout of `wait` in seconds."""


def wait(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST
    while not happened():
        if time.monotonic() > end:
            raise RuntimeError("it did not happen in time")
        time.sleep(0.002)


def unplug(times: int) -> dict[str, float]:
    """Seconds from the first picture of a restarted sender until the source has a picture again."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ndi-config.v1.json").write_text(json.dumps(LOOPBACK))
        os.environ["NDI_CONFIG_DIR"] = folder

        def send() -> subprocess.Popen[str]:
            return subprocess.Popen([sys.executable, str(SENDER), "unplug"], stdout=subprocess.PIPE, text=True)

        sender = send()
        camera, back = open_source("ndi:unplug", 4.0), []
        for _ in range(times):
            sender.kill()
            sender.wait()
            wait(lambda: camera.at(0.0) is not None and bool(camera.trouble))
            sender = send()
            assert sender.stdout is not None
            began = float(sender.stdout.readline().split()[0])
            wait(lambda: camera.at(0.0) is not None and not camera.trouble)
            back.append(time.monotonic() - began)
        sender.kill()
        camera.close()
    return {"times": times, "back_median_s": float(np.median(back)), "back_worst_s": max(back)}


class Numbered(Reader):
    """A fake camera whose pictures show their number and are available exactly on time. Any thread."""

    live, name = True, "numbered"

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self._newest: tuple[int, av.VideoFrame | None] = (-1, None)

    def born(self, number: int) -> float:
        return self.begin + number / RATE

    def at(self, seconds: float) -> av.VideoFrame | None:
        number = int((time.perf_counter() - self.begin) * RATE)
        if number != self._newest[0]:
            self._newest = number, av.VideoFrame.from_ndarray(numbered(number % 256, 320, 192), format="rgb24")
        return self._newest[1]


def latency(seconds: float, engine: str, size: str) -> dict[str, float]:
    """Milliseconds from a picture's creation to the end of the frame that shows it, minus the frame's own time."""
    settings = load_settings({"engine.name": engine, "engine.size": size}, here=Path("/nowhere"))
    values = {**settings.start_values(), "prompt": "an inferno", "source": "numbered", "source.fit": "stretch"}
    store, camera = ParameterStore(values), Numbered()
    pipeline = Pipeline(settings, live=True)
    pipeline.source = LiveSource(opener=lambda name, each: camera)
    beyond, took, seen = [], [], -1
    sys.setswitchinterval(0.001)  # as a show does
    with pipeline:
        improve(pipeline)
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds + 3.0:
            began = time.perf_counter()
            now = began - begin
            params = FrameParams(time=now, noise_position=now, source_amount=1.0, source_time=now)
            frame = pipeline.draw(params, None, store.snapshot(), now)
            ended = time.perf_counter()
            if frame is None:  # the prompt is still being encoded
                time.sleep(0.02)
            if frame is None or now < 3.0:
                continue
            took.append(ended - began)
            last = int((ended - camera.begin) * RATE)
            number = last - (last - number_of(frame.pixels)) % 256
            if number != seen:
                seen = number
                beyond.append(ended - camera.born(number) - took[-1])
    return {
        "pictures": len(beyond),
        "frame_ms": 1000 * float(np.median(took)),
        "beyond_p50_ms": 1000 * float(np.percentile(beyond, 50)),
        "beyond_p95_ms": 1000 * float(np.percentile(beyond, 95)),
    }


def coded(number: int, width: int, height: int) -> np.ndarray:
    """A picture that shows a number modulo 65,536, which `code_of` reads. Only an error of exactly 44 minutes would be
    missed."""
    half = height // 2
    return np.concatenate([numbered((number >> 8) & 255, width, half), numbered(number & 255, width, half)])


def code_of(pixels: np.ndarray) -> int:
    half = pixels.shape[0] // 2
    return 256 * number_of(pixels[:half]) + number_of(pixels[half:])


def film(minutes: float) -> dict[str, float]:
    """Drift in pictures and growth of memory in MB: over a long clip, past its end, and at other speeds."""
    with tempfile.TemporaryDirectory() as folder:
        count = round(60 * minutes * RATE)
        path = write_clip(Path(folder) / "film.mp4", count, RATE, SIZE, codec="mpeg4", keyframes=250, draw=coded)
        snapshot = ParameterStore({"source": str(path)}).snapshot()
        player, integrator = SourcePlayer("film", open_source(str(path), 4.0)), ModulationIntegrator()
        parts = [(100, round(60 * minutes * HOPS))] + [(percent, 20 * HOPS) for percent in SPEEDS]
        drift, memory, hop, place, begin = 0, [], 0, 0, time.process_time()
        for percent, hops in parts:
            for _ in range(hops):
                integrator._play_source(percent / 100, 0.0, 0.0, 1 / HOPS)
                hop, place = hop + 1, place + percent  # in 1/10,000 s: exact
                if hop % 3:
                    continue
                params = FrameParams(time=hop / HOPS, source_time=integrator.source_time)
                image = player.image(Wanted(params, snapshot, SIZE), hop / HOPS)
                assert image is not None
                right = (place * RATE // (100 * HOPS)) % count
                off = (code_of(image.pixels) - right) % 65_536
                drift = max(drift, min(off, 65_536 - off))
                if hop % (sum(n for _, n in parts) // 20 // 3 * 3) == 0:
                    memory.append(psutil.Process().memory_info().rss / 2**20)
        player.reader.close()
    return {
        "pictures": count,
        "drift": drift,
        "grown_mb": memory[-1] - memory[len(memory) // 4],
        "mb": memory[-1],
        "cpu_s": time.process_time() - begin,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("unplug", "latency", "film"))
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--size", default="320x192")
    given = parser.parse_args()
    figures: dict[str, Any]
    if given.what == "unplug":
        figures = unplug(given.times)
    elif given.what == "latency":
        figures = latency(given.seconds, given.engine, given.size)
    else:
        figures = film(given.minutes)
    shown = {name: round(value, 3) for name, value in figures.items()}
    print(json.dumps({"what": given.what, "cpu": processor(), **shown}))


if __name__ == "__main__":
    main()
