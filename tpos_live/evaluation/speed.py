"""How fast a text becomes an image in memory, against a stock diffusers pipeline, and what a show weighs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.child_process import ChildError, run_module
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends.cpu_features import bfloat16_is_native
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.evaluation.harness.sampler import SamplerHarness
from tpos_live.evaluation.metrics.report import Figure

_WARM = 5


def speed(harness: SamplerHarness, pictures: int, stock: int) -> list[Figure]:
    """One step, text to pixels: the generator of a show, and StableDiffusionPipeline with the same weights.

    Both take turns in one run, so that a busy machine slows both. Medians. pictures, stock: how many of each.
    """
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import logging

    engine, threads = harness.engine, torch.get_num_threads()
    painter = FrameGenerator(engine, harness.size, "eager")
    painter.use(harness.accelerator)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    pipeline = StableDiffusionPipeline.from_pretrained(engine.folder).to(engine.device, engine.dtype)
    pipeline.set_progress_bar_config(disable=True)
    width, height = harness.size
    snapshot = ParameterStore().snapshot()
    ours, theirs = [], []
    turns = max(stock, 1)
    for turn in range(-1, turns):
        painter.settle()
        for n in range(max(pictures // turns, 1) if turn >= 0 else _WARM):
            begin = time.perf_counter()
            tokens = torch.zeros(painter.prompt_length, engine.token_dim, device=engine.device)
            states = engine.encode(f"a galaxy {turn} {n}")
            tokens[: len(states)] = states
            painter.generate(FrameRequest(FrameParams(noise_position=0.03 * n), Conditioning(tokens), snapshot))
            if turn >= 0:
                ours.append(time.perf_counter() - begin)
        torch.set_num_threads(threads)
        begin = time.perf_counter()
        pipeline(
            f"a galaxy {turn}", width=width, height=height, num_inference_steps=1, guidance_scale=0, output_type="np"
        )
        if turn >= 0:
            theirs.append(time.perf_counter() - begin)
    mine, other = float(np.median(ours)), float(np.median(theirs))
    fast = getattr(harness.accelerator, "precision", "f32") == "bf16"
    bar = 30.0 if fast or (harness.accelerator.name == "eager" and bfloat16_is_native()) else 20.0
    note = f"{harness.accelerator.name}{' bf16' if fast else ''}, {width}x{height}, p95 "
    note += f"{1000 * np.percentile(ours, 95):.0f} ms"
    return [
        Figure("pictures a second, text to picture in memory", 1 / mine, bar, n=len(ours), note=note),
        Figure("times as fast as a stock diffusers pipeline", other / mine, 3.0, n=len(theirs),
               note=f"stock: {1000 * other:.0f} ms"),
    ]  # fmt: skip


def memory(folder: Path, seconds: float) -> list[Figure]:
    """Resident memory of a whole show with the built-in track, as `tpos-live bench` has it in a process of its own."""
    lines: list[str] = []
    try:
        arguments = ["bench", "--json", "--seconds", f"{seconds:g}", "--engine", str(folder)]
        run_module("tpos_live.cli.main", arguments, 240.0, lines.append)
        summary = json.loads(lines[-1])
        value, note = summary["memory_mb"] * 2**20 / 1e9, f"{summary['engine_fps']:.0f} pictures a second in that show"
    except (ChildError, ValueError, KeyError, IndexError) as error:
        value, note = float("nan"), f"the show did not run ({type(error).__name__})"
    return [Figure("resident memory of a show", value, 1.5, least=False, unit="GB", note=note)]
