"""`tpos-live bench engine`: our loop, the stock pipeline and a StreamDiffusion-shaped loop, in one run.

All three draw with the same weights, size, steps and tokens, one picture after the other, each finished before the
next begins, none skipped. The baselines are written from their public descriptions:

With more than one step our loop is measured a second time with all steps in flight ("stream batch"): more pictures a
second, each of them shown `pictures_late` pictures after it was begun.

- stock: diffusers' StableDiffusionPipeline, prompt embeddings given, guidance off, output_type="np".
- apart: the same accelerator as ours for UNet and decoder apart, noise from the CPU, a wait for the device and an
  image object each frame, no graph over the whole; how StreamDiffusion (Kodaira et al. 2023) runs.
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

from tpos_live.bench_results import append_results, machine
from tpos_live.conditioning.drive import Drive
from tpos_live.parameters import ParameterStore
from tpos_live.render.accelerators import prepare_better
from tpos_live.render.engine import Engine, load_engine
from tpos_live.render.locate import resolve_engine
from tpos_live.render.painter import Painter
from tpos_live.render.stream_batch import Flight
from tpos_live.settings import Settings, parse_size

WARM_UP = 5
"""Pictures that do not count."""
PROMPT = "aurora over black mountains"


def bench_engine(
    settings: Settings,
    frames: int,
    steps: int,
    baselines: bool,
    show_seconds: float,
    append: Path | None,
    as_json: bool,
) -> int:
    """Measure, print a table or JSON lines, and append to a file of results if one is given."""
    rows = measure(settings, frames, steps, baselines)
    if show_seconds:
        from tpos_live.bench import measure_show  # brings sound, window and control, which the engine alone needs not

        summary = measure_show(settings, show_seconds)[1]
        bare = rows[0]["fps"]
        ratio = round(summary["engine_fps"] / bare, 3)
        rows.append({"kind": "show", "engine_fps": summary["engine_fps"], "over_bare_engine": ratio})
    if append is not None:
        append_results(append, rows, machine())
    _print(rows, as_json)
    return 0


@torch.inference_mode()
def measure(settings: Settings, frames: int, steps: int = 1, baselines: bool = True) -> list[dict[str, Any]]:
    """One row a loop (kind "loop"), ours first. frames: pictures measured of each. Raises EngineError."""
    chosen = settings.engine
    path, _note = resolve_engine(chosen.name)
    engine = load_engine(path)
    width, height = parse_size(chosen.size)
    painter = Painter(engine, (width, height) if width else None, chosen.accelerator, threads=chosen.threads)
    better = prepare_better(chosen.accelerator, engine, painter.size, painter.rows, chosen.threads)
    if painter.accelerator.name == "eager" and better is not None:
        painter.use(better)
    painter.settle()
    states = engine.encode(PROMPT).float()
    tokens = torch.cat([states, states.new_zeros(painter.token_rows - len(states), states.shape[1])])
    snapshot = ParameterStore({"steps": steps}).snapshot()
    steps = min(engine.metadata.steps, key=lambda allowed: abs(allowed - steps))
    work = flops(load_engine(path), painter, steps)
    common = {
        "kind": "loop",
        "engine": engine.name,
        "accelerator": painter.accelerator.name,
        "size": list(painter.size),
        "steps": steps,
        "gflop": round(work / 1e9, 4),
        "peak_tflops": round(matrix_peak(engine.device, engine.dtype) / 1e12, 3),
    }

    def draw(n: int) -> object:
        return painter.draw(Drive(time=n / 60, walk=n / 60), tokens, snapshot)

    rows = [_row("tpos-live", _measure(draw, frames, engine.device), common, work)]
    if steps > 1:
        painter.flight = Flight(engine, painter.size, painter.rows, patient=True)
        streamed = _measure(draw, frames, engine.device)
        if remark := painter.remark():
            click.echo(remark, err=True)
        else:
            rows.append(_row("stream batch", streamed, common | {"pictures_late": steps - 1}, work))
        painter.flight = None
    if baselines:
        rows.append(_row("apart", _measure(_apart(painter, steps), frames, engine.device), common, work))
        torch.set_num_threads(max(chosen.threads, 1) if chosen.threads else torch.get_num_threads())
        stock = _measure(_stock(path, painter, steps), frames, engine.device)
        rows.append(_row("stock", stock, common | {"accelerator": "eager"}, work))
        for row in rows[-2:]:
            row["ours_is_times_faster"] = round(row["p50_ms"] / rows[0]["p50_ms"], 3)
    return rows


def _measure(draw: Callable[[int], object], frames: int, device: torch.device) -> tuple[np.ndarray, float]:
    """Seconds of each picture, float64 [frames], and the most memory on the card in GB (0 without one)."""
    for n in range(WARM_UP):
        draw(n)
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    took = np.zeros(frames)
    for n in range(frames):
        began = time.perf_counter()
        draw(WARM_UP + n)
        if cuda:
            torch.cuda.synchronize()
        took[n] = time.perf_counter() - began
    return took, torch.cuda.max_memory_allocated() / 1e9 if cuda else 0.0


def _row(name: str, measured: tuple[np.ndarray, float], common: dict[str, Any], work: float) -> dict[str, Any]:
    took, memory = measured
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
    }


def _apart(painter: Painter, steps: int) -> Callable[[int], object]:
    """The StreamDiffusion-shaped loop on our accelerator."""
    from PIL import Image

    engine, accelerator = painter.engine, painter.accelerator
    plan = engine.schedule.plan(steps)
    shape = (1, engine.latent_channels, painter.size[1] // engine.factor, painter.size[0] // engine.factor)
    tokens = torch.zeros(1, painter.rows, engine.token_dim, device=engine.device)

    def draw(_n: int) -> object:
        x = plan.noise * torch.randn(shape).to(engine.device)
        x0 = x
        for step in plan.steps:
            timestep = torch.tensor([step.timestep], device=engine.device)
            x0 = step.skip * x + step.out * accelerator.predict(x, timestep, tokens)
            x = step.keep * x + step.add * x0
            if step.fresh:
                x = x + step.fresh * torch.randn(shape).to(engine.device)
        out = np.empty((painter.size[1], painter.size[0], 3), np.uint8)
        accelerator.decode(x0, out)
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        return Image.fromarray(out)

    return draw


def _stock(path: Path, painter: Painter, steps: int) -> Callable[[int], object]:
    """The stock pipeline on a second copy of the same weights."""
    import diffusers
    from diffusers import StableDiffusionPipeline

    engine = load_engine(path)
    config = json.loads((path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    pipe = StableDiffusionPipeline(
        vae=engine.vae,
        text_encoder=engine.text_encoder,
        tokenizer=engine.tokenizer,
        unet=engine.unet,
        scheduler=getattr(diffusers, config["_class_name"]).from_config(config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    tokens = torch.zeros(1, painter.rows, engine.token_dim, device=engine.device, dtype=engine.dtype)
    width, height = painter.size

    def draw(_n: int) -> object:
        return pipe(
            prompt_embeds=tokens,
            num_inference_steps=steps,
            guidance_scale=1.0,
            width=width,
            height=height,
            output_type="np",
        ).images

    return draw


@torch.inference_mode()
def flops(engine: Engine, painter: Painter, steps: int) -> float:
    """Floating point operations of one picture, by torch's counter: a multiplication and an addition are two."""
    from torch.utils.flop_counter import FlopCounterMode

    shape = (1, engine.latent_channels, painter.size[1] // engine.factor, painter.size[0] // engine.factor)
    latent = torch.zeros(shape, device=engine.device, dtype=engine.dtype)
    tokens = torch.zeros(1, painter.rows, engine.token_dim, device=engine.device, dtype=engine.dtype)
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
    """Operations a second of a large matrix product, the best of several: what the machine can do at most."""
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
        if row["kind"] == "show":
            click.echo(f"whole show     {row['engine_fps']:.1f} fps, {row['over_bare_engine']:.2f} of the bare engine")
            continue
        times = row.get("ours_is_times_faster", 1.0)
        click.echo(
            f"{row['loop']:<14}{row['accelerator']:<14}{row['fps']:>8.1f}{row['p50_ms']:>10.2f}{row['p95_ms']:>10.2f}"
            f"{row['p99_ms']:>10.2f}{row['share_of_peak']:>9.2f}{times:>7.2f}"
        )
