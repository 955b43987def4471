"""Time from a text to an image in memory, and memory of a show."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.child_process import ChildError, run_module
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.evaluation.harness.sampler import SamplerHarness
from tpos_live.evaluation.metrics.report import Figure

_WARM = 5


def speed(harness: SamplerHarness, images: int) -> list[Figure]:
    """Time of an image from text to pixels in one step, with the generator of a show; and of UNet and decoder with two
    prompts in one image. Medians over `images` images each."""
    engine = harness.engine
    generator = FrameGenerator(engine, harness.size, "eager")
    generator.use(harness.backend)
    snapshot = ParameterStore().snapshot()

    def from_text(n: int) -> None:
        tokens = torch.zeros(generator.prompt_length, engine.token_dim, device=engine.device)
        states = engine.texts.encode(f"a galaxy {n}")
        tokens[: len(states)] = states
        generator.generate(FrameRequest(FrameParams(noise_position=0.03 * n), Conditioning(tokens), snapshot))

    halves = [(engine.texts.encode(text), 0.5) for text in ("a galaxy", "an ocean")]
    noise, scalars = harness.moment(0, 0.0, 0.5)
    whole, both = _seconds(from_text, images), _seconds(lambda _: harness.blend(halves, scalars, noise), images)
    fast = getattr(harness.backend, "precision", "f32") == "bf16"
    size = "{}x{}".format(*harness.size)
    note = f"{harness.backend.name}{' bf16' if fast else ''}, {size}, p95 {1000 * np.percentile(whole, 95):.0f} ms"
    return [
        Figure("images per second, text to image in memory", 1 / float(np.median(whole)), 30.0, n=len(whole),
               note=note),
        Figure("milliseconds of UNet and decoder, two prompts in one image", 1000 * float(np.median(both)), 25.0,
               least=False, n=len(both), note=size),
    ]  # fmt: skip


def _seconds(draw: Callable[[int], object], times: int) -> list[float]:
    """Seconds of each of `times` calls, after _WARM warm-up calls."""
    took = []
    for n in range(-_WARM, max(times, 1)):
        begin = time.perf_counter()
        draw(n)
        took.append(time.perf_counter() - begin)
    return took[_WARM:]


def memory(folder: Path, seconds: float) -> list[Figure]:
    """Resident memory of a whole show with the built-in track, measured by `tpos-live bench` in a separate process."""
    lines: list[str] = []
    try:
        arguments = ["bench", "--json", "--seconds", f"{seconds:g}", "--engine", str(folder)]
        run_module("tpos_live.cli.main", arguments, 240.0, lines.append)
        summary = json.loads(lines[-1])
        value, note = summary["memory_mb"] * 2**20 / 1e9, f"{summary['engine_fps']:.0f} frames per second in that show"
    except (ChildError, ValueError, KeyError, IndexError) as error:
        value, note = float("nan"), f"the show did not run ({type(error).__name__})"
    return [Figure("resident memory of a show", value, 1.5, least=False, unit="GB", note=note)]
