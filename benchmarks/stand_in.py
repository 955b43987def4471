"""How much a whole show slows down a GPU's frame loop, measured without a GPU: a simulated GPU waits a fixed time.

    python benchmarks/stand_in.py [--ms 5.3] [--seconds 10] [--offscreen]

The show is complete (sound, analysis, encoder, conditioning, display), but UNet and decoder are not launched: a frame
is ready after --ms milliseconds, in which the render thread sleeps, as it waits for a GPU. Prints the frame rate in the
show and of the generator alone; the difference comes from Python's threads, which share one lock (GIL). Kernel
launches, 0.1 to 0.5 ms of host time for a frame on a real GPU, are missing in both. --offscreen: the display draws with
OpenGL, on the CPU where there is no GPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes.tiny_engine import make_tiny_engine

from tpos_live.bench.session import measure_show
from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.captured import CapturedBackend, CapturedPipeline
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.runtime import pipeline as pipeline

SIZE = (512, 512)
NAP = 0.0003
"""Seconds before the end from which the wait polls instead of sleeping, because a sleep may end this much too late."""
FRAMES = 400


class Card(CapturedBackend):
    """A backend that draws nothing and is ready after a fixed time."""

    def __init__(self, request: BackendRequest, seconds: float) -> None:
        self.name, self.torch_threads, self.size = "stand-in", 1, SIZE
        self.pipeline = CapturedPipeline(request, lambda x, *_: x, lambda _x: torch.zeros(1, 3, *SIZE[::-1]))
        self.pipeline._graphs.run = lambda *_: None  # type: ignore[method-assign]  # what would be launched
        self.waited, self._seconds, self._due = 0.0, seconds, 0.0

    def send(self, out: np.ndarray, pixels: torch.Tensor | None = None) -> None:
        self._due = time.perf_counter() + self._seconds

    def wait(self) -> None:
        while (left := self._due - time.perf_counter()) > 0:
            time.sleep(max(left - NAP, 0.0))


def stand_in(seconds: float) -> type[FrameGenerator]:
    """A generator class on a simulated GPU that takes `seconds` for a frame."""

    class OnACard(FrameGenerator):
        def __init__(self, engine: Engine, size: Any, _accelerator: str, *options: Any) -> None:
            super().__init__(engine, size, "eager", *options)
            self.on_card = True
            self.use(Card(self.request, seconds))
            noise = torch.zeros(engine.latent_shape(self.size))  # made on a card in one launch
            self._inputs.noise_field.at = lambda *_: noise  # type: ignore[method-assign]

    return OnACard


def bare(generator: FrameGenerator) -> float:
    """Frames per second of the generator alone."""
    generator.settle()
    tokens = torch.zeros(generator.prompt_length, generator.engine.token_dim)
    snapshot, began = ParameterStore().snapshot(), time.perf_counter()
    for n in range(FRAMES):
        generator.generate(
            FrameRequest(FrameParams(time=n / 60, noise_position=n / 60), Conditioning(tokens), snapshot)
        )
    return FRAMES / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ms", type=float, default=5.3, help="time of a frame on the simulated GPU")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--offscreen", action="store_true")
    options = parser.parse_args()
    made = stand_in(options.ms / 1000)
    with tempfile.TemporaryDirectory() as place:
        folder = make_tiny_engine(Path(place), "sd-turbo", metadata={"trained_with_sound": False, "guidance": False})
        engine = {"engine.name": str(folder), "engine.accelerator": "eager", "engine.size": "{}x{}".format(*SIZE)}
        alone = bare(made(load_engine(folder), SIZE, "eager"))
        pipeline.FrameGenerator = made  # type: ignore[misc]
        summary = measure_show(load_settings(engine | {"engine.fps_cap": 0.0}), options.seconds, options.offscreen)[1]
    print(
        f"{summary['engine_fps']:.1f} frames per second in a show, {alone:.1f} alone: "
        f"{summary['engine_fps'] / alone:.3f}; {summary['shown_fps']:.1f} shown by {summary['stage']}"
    )


if __name__ == "__main__":
    main()
