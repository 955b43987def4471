"""`tpos-live bench engine`: compares our loop with the stock pipeline and a StreamDiffusion-like loop in one run.

All three use the same weights, size, steps and tokens. Each frame is finished before the next one begins, and none is
skipped (`baselines` has the other two loops).

With more than one step, our loop is measured a second time as a stream batch: more frames per second, each shown
`pictures_late` frames later.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from tpos_live.bench.baselines import stock, stream_diffusion_like
from tpos_live.bench.overhead import changes, device_counts, host_times
from tpos_live.bench.results import append_results, check_results, machine
from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.backend_table import INTERIM
from tpos_live.core.errors import EngineError
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.setting_values import parse_size
from tpos_live.core.settings import Settings
from tpos_live.diffusion.backends.registry import prepare_better
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.hub.resolve import resolve_engine
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.captured import CapturedBackend
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

WARM_UP = 5
"""Frames before a measurement."""
COUNTED = 200
"""Most frames of the baselines, and of host times and device counts."""
PROMPT = "aurora over black mountains"


def bench_engine(
    settings: Settings,
    frames: int,
    steps: int,
    baselines: bool,
    show_seconds: float,
    append: Path | None,
    as_json: bool,
    offscreen: bool = False,
) -> int:
    """Measure, print a table or JSON lines, and append to a file of results if one is given.

    offscreen: render the show with OpenGL as in a window, but without one.
    """
    if append is not None:
        check_results(append)
    rows = measure(settings, frames, steps, baselines)
    if append is not None:
        append_results(append, rows, machine())
    _print(rows, as_json)
    if show_seconds:
        from tpos_live.bench.session import (
            measure_show,  # imports sound, window and control, which the engine alone does not need
        )

        show = _over_bare(rows[0], measure_show(_same_frame(settings, rows[0]), show_seconds, offscreen)[1])
        if append is not None:
            append_results(append, [show], machine())
        _print_show(show, as_json)
    return 0


def _same_frame(settings: Settings, bare: dict[str, Any]) -> Settings:
    """Settings of a show that does the same work per frame as the engine alone: same size and steps, no limit of fps,
    and the audio mode that adds no row to the batch."""
    size = "{}x{}".format(*bare["size"])
    engine = settings.engine.model_copy(update={"fps_cap": 0.0, "size": size})
    values = {**settings.parameters, "steps": bare["steps"], "audio.mode": "append"}
    return settings.model_copy(update={"engine": engine, "parameters": values})


def _over_bare(bare: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
    """The row of a whole show (kind "show"). bare: our row of the engine alone. summary: of the show.

    Raises EngineError if backend, size or steps of the two differ.
    """
    same = {key: bare[key] for key in ("engine", "accelerator", "size", "steps")}
    there = {key: summary[key] for key in ("accelerator", "size", "steps")}
    if any(there[key] != same[key] for key in there):
        raise EngineError(f"the show drew with {there} and the bare engine with {same}: their ratio says nothing")
    ratio = round(summary["engine_fps"] / bare["fps"], 3)
    kept = {key: summary[key] for key in ("engine_fps", "shown_fps", "engine_busy", "samples_lost", "stage", "seconds")}
    return {"kind": "show", **same, **kept, "bare_fps": bare["fps"], "over_bare_engine": ratio}


@torch.inference_mode()
def measure(settings: Settings, frames: int, steps: int = 1, baselines: bool = True) -> list[dict[str, Any]]:
    """One row per loop (kind "loop"), ours first. frames: measured frames of each loop. Raises EngineError."""
    chosen = settings.engine
    path, _reason = resolve_engine(chosen.name)
    engine = load_engine(path)
    threads = torch.get_num_threads()
    width, height = parse_size(chosen.size)
    options = GeneratorOptions(threads=chosen.threads)
    generator = FrameGenerator(engine, (width, height) if width else None, chosen.accelerator, options)
    if generator.backend.name in INTERIM:
        better = prepare_better(chosen.accelerator, generator.request)
        if better is not None:
            generator.use(better)
    generator.settle()
    states = engine.texts.encode(PROMPT).float()
    tokens = torch.cat([states, states.new_zeros(generator.prompt_length - len(states), states.shape[1])])
    snapshot = ParameterStore({"steps": steps}).snapshot()
    steps = min(engine.metadata.steps, key=lambda allowed: abs(allowed - steps))
    work, peak = flops(load_engine(path), generator, steps), matrix_peak(engine.device, engine.dtype)
    if engine.device.type == "cuda":
        torch.cuda.empty_cache()  # memory that these two calls have left
    common = {
        "kind": "loop",
        "engine": engine.name,
        "accelerator": generator.backend.name,
        "size": list(generator.size),
        "steps": steps,
        "gflop": round(work / 1e9, 4),
        "peak_tflops": round(peak / 1e12, 3),
    }

    def draw(n: int) -> object:
        params = FrameParams(time=n / 60, noise_position=n / 60)
        return generator.generate(FrameRequest(params, Conditioning(tokens), snapshot))

    rows = [_row("tpos-live", _measure(draw, frames, engine.device, lambda: generator.busy_s), common, work)]
    counted = min(frames, COUNTED)
    rows[0] |= host_times(generator, draw, counted)
    if engine.device.type == "cuda":
        rows[0] |= device_counts(draw, counted)
    rows[0] |= changes(generator, tokens, snapshot, max(counted, 3))
    if steps > 1:
        generator.keep_in_flight(True)
        streamed = _measure(draw, frames, engine.device)
        assert generator.stream_batch is not None
        if not generator.stream_batch.batch_reason:
            rows.append(_row("stream batch", streamed, common | {"pictures_late": steps - 1}, work))
        generator.keep_in_flight(False)
    if baselines:
        theirs = _baselines(generator, path, chosen.threads or threads, steps, counted, common, work)
        for row in theirs:
            row["ours_is_times_faster"] = round(row["p50_ms"] / rows[0]["p50_ms"], 3)
        rows += theirs
    return rows


def _baselines(
    generator: FrameGenerator, path: Path, threads: int, steps: int, frames: int, common: dict[str, Any], work: float
) -> list[dict[str, Any]]:
    """Rows of the baseline loops on the engine in `path`. threads: CPU threads of diffusers' pipeline. work: FLOP per
    frame."""
    engine, device = generator.engine, generator.engine.device
    rows = [_row("apart", _measure(stream_diffusion_like(generator, steps), frames, device), common, work)]
    if device.type == "cuda" and isinstance(generator.backend, CapturedBackend):
        recorded = _measure(stream_diffusion_like(generator, steps, recorded=True), frames, device)
        rows.append(_row("apart, recorded", recorded, common, work))
    if engine.metadata.unet_inputs is None:
        torch.set_num_threads(threads)  # as many as our loop may use
        theirs = _measure(stock(path, generator, steps), frames, device)
        rows.append(_row("stock", theirs, common | {"accelerator": "eager"}, work))
    else:
        click.echo(f"diffusers' pipeline cannot give {engine.name}'s UNet its inputs: not measured", err=True)
    return rows


def _measure(
    draw: Callable[[int], object], frames: int, device: torch.device, kept: Callable[[], float] = lambda: 0.0
) -> tuple[np.ndarray, float, float]:
    """Seconds of each frame, float64 [frames]; peak memory on the card in GB (0 without one), with PyTorch's cache and
    graph pools; and the share of the time in which the device was busy. kept: returns the busy seconds of the last
    frame."""
    for n in range(WARM_UP):
        draw(n)
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    took, busy = np.zeros(frames), 0.0
    for n in range(frames):
        began = time.perf_counter()
        draw(WARM_UP + n)
        if cuda:
            torch.cuda.synchronize()
        took[n] = time.perf_counter() - began
        busy += kept()
    return took, torch.cuda.max_memory_reserved() / 1e9 if cuda else 0.0, busy / float(took.sum())


def _row(name: str, measured: tuple[np.ndarray, float, float], common: dict[str, Any], work: float) -> dict[str, Any]:
    took, memory, busy = measured
    p50, p95, p99 = np.percentile(took, (50, 95, 99))
    rate = work / p50 / 1e12
    return {
        **common,
        "loop": name,
        "frames": len(took),
        "fps": round(len(took) / float(took.sum()), 2),
        "p50_ms": round(1e3 * p50, 3),
        "p95_ms": round(1e3 * p95, 3),
        "p99_ms": round(1e3 * p99, 3),
        "tflops": round(rate, 3),
        "share_of_peak": round(rate / common["peak_tflops"], 3) if common["peak_tflops"] else 0.0,
        "memory_gb": round(memory, 2),
        **({"busy": round(busy, 3)} if busy else {}),
    }


@torch.inference_mode()
def flops(engine: Engine, generator: FrameGenerator, steps: int) -> float:
    """FLOP of one frame by torch's counter: a multiplication and an addition are two operations."""
    from torch.utils.flop_counter import FlopCounterMode

    latent = torch.zeros(engine.latent_shape(generator.size), device=engine.device, dtype=engine.dtype)
    tokens = torch.zeros(
        1, generator.request.sequence_length, engine.token_dim, device=engine.device, dtype=engine.dtype
    )
    counts = []
    for call in (
        lambda: engine.unet(latent, torch.ones(1, device=engine.device), encoder_hidden_states=tokens),
        lambda: engine.vae.decode(latent),
    ):
        with FlopCounterMode(display=False) as counter:
            call()
        counts.append(counter.get_total_flops())
    return float(steps * counts[0] + counts[1])


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of a large matrix product, the best of 8 runs: the practical peak of the machine."""
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        torch.mm(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    first = rows[0]
    click.echo(f"{first['engine']}, {first['size'][0]}x{first['size'][1]}, {first['steps']} step(s)")
    click.echo(
        f"{'loop':<14}{'accelerator':<14}{'fps':>8}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}{'of peak':>9}{'times':>7}"
    )
    for row in rows:
        times = row.get("ours_is_times_faster", 1.0)
        click.echo(
            f"{row['loop']:<14}{row['accelerator']:<14}{row['fps']:>8.1f}{row['p50_ms']:>10.2f}{row['p95_ms']:>10.2f}"
            f"{row['p99_ms']:>10.2f}{row['share_of_peak']:>9.2f}{times:>7.2f}"
        )
    click.echo(
        f"host          {first['host_ms']:.2f} ms a frame (p99 {first['host_p99_ms']:.2f}), by {first['host_by']}"
    )
    click.echo(
        f"changes       slowest frame {first['changes_slowest']:.2f} times the median, {first['changes_ms']:.2f} ms; "
        f"p99 {first['changes_p99']:.2f}: prompts fading, other sound and guidance in every frame"
    )
    if "allocations" in first:
        click.echo(
            f"a frame       {first['allocations']:.1f} allocations, {first['driver_allocations']:.2f} of the driver's, "
            f"{first['syncs']:.1f} hidden waits"
        )


def _print_show(row: dict[str, Any], as_json: bool) -> None:
    click.echo(
        json.dumps(row)
        if as_json
        else f"whole show    {row['engine_fps']:.1f} fps, {row['over_bare_engine']:.2f} of the bare engine, "
        f"engine busy {row['engine_busy']:.0%}"
    )
