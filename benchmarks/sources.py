"""Frame rates with image sources: python benchmarks/sources.py [--engine auto] [--size 320x192] [--seconds 3]
[--rounds 7] [--times 20]

Draws frames at full speed in turns of --seconds: without a source, with a still, a clip (1280x720, 25 fps), a camera
(the same, made by FFmpeg), a masked clip, and the prompt's scene drawn live. Then it changes the source --times times
and takes the longest frame of the next second, divided by the median. Prints one JSON line with the median frame rate
of each source, its ratio to no source, and the figures of the changes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from tpos_live.bench.results import processor
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.offline import improve
from tpos_live.runtime.pipeline import Pipeline

CAMERA = "lavfi:testsrc2=size=1280x720:rate=25"


def make_clip(path: Path) -> None:
    """Write a clip of 4 s with a moving disc."""
    y, x = np.mgrid[:720, :1280]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for n in range(100):
            pixels = np.zeros((720, 1280, 3), np.uint8)
            pixels[np.hypot(x - 640 - 300 * np.sin(n / 16), y - 360) < 160] = (250, 180, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


class Frames:
    """Draws frames one after the other; their time starts at 0."""

    def __init__(self, pipeline: Pipeline, store: ParameterStore) -> None:
        self._pipeline, self._store, self._begin = pipeline, store, time.perf_counter()

    def draw(self) -> float:
        """Draw one frame; returns its duration in seconds."""
        began = time.perf_counter()
        now = began - self._begin
        params = FrameParams(time=now, noise_position=now, intensity=0.5, source_amount=0.5, source_time=now)
        self._pipeline.draw(params, None, self._store.snapshot(), now)
        return time.perf_counter() - began

    def rate(self, seconds: float) -> float:
        """Frames per second."""
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            self.draw()
            count += 1
        return count / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a source of images costs.")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--size", default="320x192")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each kind; 0 leaves the frame rates out")
    parser.add_argument("--times", type=int, default=20, help="changes of the source; 0 leaves them out")
    given = parser.parse_args()
    settings = load_settings({"engine.name": given.engine, "engine.size": given.size}, here=Path("/nowhere"))
    store = ParameterStore({**settings.start_values(), "prompt": "an inferno"})
    with tempfile.TemporaryDirectory() as folder, Pipeline(settings, live=True) as pipeline:
        clip, still = Path(folder) / "clip.mp4", Path(folder) / "still.png"
        make_clip(clip)
        with av.open(str(clip)) as container:
            next(container.decode(video=0)).to_image().save(still)
        improve(pipeline)
        kinds = {"none": ("none", "off"), "still": (str(still), "off"), "clip": (str(clip), "off"),
                 "camera": (CAMERA, "off"), "masked clip": (str(clip), "luma"),
                 "scene": ("scene:prompt", "off")}  # fmt: skip
        frames, rates, lines = Frames(pipeline, store), {kind: [] for kind in kinds}, dict[str, str]()
        for _ in range(given.rounds):
            for kind, (source, mask) in kinds.items():
                store.set("source", source)
                store.set("source.mask", mask)
                frames.rate(1.0)
                rates[kind].append(frames.rate(given.seconds))
                lines[kind] = pipeline.source.line
        store.set("source.mask", "off")
        worst, late = [], []
        store.set("source", str(still))
        frames.rate(2.0)  # the prompt and the encoder are there
        for n in range(given.times):
            steady = statistics.median(frames.draw() for _ in range(30))
            store.set("source", (str(clip), CAMERA, str(still))[n % 3])
            begin, after = time.perf_counter(), list[tuple[float, float]]()
            while time.perf_counter() < begin + 1.0:
                at = time.perf_counter() - begin
                after.append((frames.draw(), at))
            longest, at = max(after)
            worst.append(longest / steady)
            late.append(1000 * at)
        median = {kind: statistics.median(found) for kind, found in rates.items() if found}
        found = {"engine": pipeline.engine.name, "size": pipeline.generator.size, "cpu": processor(),
                 "backend": pipeline.generator.backend.name,
                 "status": lines, "fps": {kind: round(value, 1) for kind, value in median.items()},
                 "ratio": {kind: round(value / median["none"], 3) for kind, value in median.items()}}  # fmt: skip
        if worst:
            found |= {
                "change_worst": round(max(worst), 2),
                "change_median": round(statistics.median(worst), 2),
                "longest_after_ms": round(statistics.median(late)),
            }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
