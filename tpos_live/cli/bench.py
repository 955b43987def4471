"""`tpos-live bench ...`: measures the speed of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpos_live.cli.group import Group
from tpos_live.cli.option_types import Number
from tpos_live.cli.options import FILE, FPS_CAP, IMAGE, settings_from, with_options

_OFFSCREEN = click.option(
    "--offscreen", is_flag=True, help="Render with OpenGL as in a window, but without a display (EGL)."
)


@click.group(cls=Group, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@click.option("--seconds", type=Number(1, 3600), default=20.0, show_default=True, help="Length of the measurement.")
@click.option("--append", type=FILE, help="Add the result to this file of JSON lines.")
@_OFFSCREEN
@with_options([*IMAGE, FPS_CAP])
@click.pass_context
def bench(
    context: click.Context, as_json: bool, seconds: float, append: Path | None, offscreen: bool, **options: Any
) -> None:
    """Measure the whole path: every stage, frames per second, losses."""
    if context.invoked_subcommand is None:
        from tpos_live.bench.session import bench_show

        context.exit(bench_show(settings_from(options), seconds, as_json, append, offscreen))


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@click.option("--clicks", type=click.IntRange(3, 1000), default=100, show_default=True, help="Clicks to measure.")
@_OFFSCREEN
@with_options(IMAGE)
def latency(as_json: bool, clicks: int, offscreen: bool, **options: Any) -> int:
    """Measure the time from a click in the input to the first changed pixel of the window."""
    from tpos_live.bench.latency import bench_latency

    return bench_latency(settings_from(options), clicks, as_json, offscreen)


@bench.command("engine")
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@click.option("--frames", type=click.IntRange(3, 100_000), default=200, show_default=True, help="Frames of each loop.")
@click.option("--steps", type=click.IntRange(1, 4), default=1, show_default=True, help="Denoising steps.")
@click.option(
    "--baselines/--no-baselines", default=True, help="Also measure diffusers' pipeline and a StreamDiffusion-like loop."
)
@click.option(
    "--show",
    "show_seconds",
    type=Number(0, 3600),
    default=0.0,
    help="Then measure a whole session for this many seconds.",
)
@click.option("--append", type=FILE, help="Add the results to this file of JSON lines.")
@_OFFSCREEN
@with_options(IMAGE)
def bench_engine_(
    as_json: bool, frames: int, steps: int, baselines: bool, show_seconds: float, append: Path | None,
    offscreen: bool, **options: Any,
) -> int:  # fmt: skip
    """Measure the engine alone, and compare it with other loops on the same weights."""
    from tpos_live.bench.engine import bench_engine

    return bench_engine(settings_from(options), frames, steps, baselines, show_seconds, append, as_json, offscreen)
