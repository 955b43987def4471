"""`tpos-live bench`: measures a show with the built-in track."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import psutil

from tpos_live.bench.results import append_results, check_results, machine
from tpos_live.bench.waiting import run_until_fastest_backend, run_until_first_frame
from tpos_live.core.settings import Settings
from tpos_live.core.timing import StageTimes
from tpos_live.display.screens import has_display
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.stop_signals import stop_signals

WARM_UP = 3.0
"""Seconds between the fastest backend and the measurement."""


def bench_show(
    settings: Settings, seconds: float, as_json: bool, append: Path | None = None, offscreen: bool = False
) -> int:
    """Run the demo for `seconds`; print p50, p95 and p99 of every stage in milliseconds, rates and losses.

    append: a file of results to add to (see `results`). offscreen: render with OpenGL as in a window, but without one.
    """
    if append is not None:
        check_results(append)
    rows, summary = measure_show(settings, seconds, offscreen)
    if append is not None:
        append_results(append, [{**summary, "kind": "whole"}], machine())
    print_rows(rows, summary, as_json)
    return 0


def measure_show(
    settings: Settings, seconds: float, offscreen: bool = False
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of stages, and a summary, of `seconds` of the demo. offscreen: as in `bench_show`."""
    where, headless = shown_on(offscreen)
    settings = without_sound_and_osc(settings, headless)
    click.echo(f"measuring {seconds:g} s with {where} …", err=True)
    with stop_signals() as stop, LiveSession(settings, demo=True, stop=stop, headless_gl=offscreen) as session:
        first_frame = run_until_first_frame(session)
        click.echo(f"the first frame came after {first_frame:.1f} s", err=True)
        longest = run_until_fastest_backend(session)
        run_for(session, WARM_UP, stop.is_set)
        pipeline, renderer = session.pipeline, session.renderer
        assert pipeline is not None and renderer is not None  # the first frame has come
        pipeline.times.clear()
        session.audio_processor.times.clear()
        process = psutil.Process()
        drawn, shown, start = renderer.drawn, session.display.meter.count, time.perf_counter()
        drawing = renderer.busy
        lost, memory, busy = (
            session.status_registry.status().samples_lost,
            process.memory_info().rss,
            sum(process.cpu_times()[:2]),
        )
        run_for(session, seconds, stop.is_set)
        took = time.perf_counter() - start
        status = session.status_registry.status()
        rows = [*stage_rows(session.audio_processor.times), *stage_rows(pipeline.times)]
        summary = {
            "kind": "summary",
            "engine": status.engine,
            "accelerator": status.backend,
            "accelerator_why": status.fallback_reason,
            "size": list(status.size),
            "steps": session.store.snapshot()["steps"],
            "stage": session.display.renderer,
            "seconds": round(took, 2),
            "engine_fps": round((renderer.drawn - drawn) / took, 2),
            "fps_cap": settings.engine.fps_cap,
            # The frame in progress at the start counts as a whole.
            "engine_busy": round(min((renderer.busy - drawing) / took, 1.0), 3),
            "shown_fps": round((session.display.meter.count - shown) / took, 2),
            "latency_ms": round(status.latency_ms, 1),
            "samples_lost": status.samples_lost - lost,
            "frames_replaced": status.frames_replaced,
            "first_picture_s": round(first_frame, 2),
            "loading_wait_ms": round(1000 * longest, 1),
            "memory_mb": round(process.memory_info().rss / 2**20),
            "memory_growth_mb": round((process.memory_info().rss - memory) / 2**20, 1),
            "cores_busy": round((sum(process.cpu_times()[:2]) - busy) / took, 2),
            **machine(),
        }
    return rows, summary


def shown_on(offscreen: bool) -> tuple[str, bool]:
    """The kind of display as text, and whether the session must be headless (without OpenGL)."""
    if offscreen:
        return "OpenGL and no window", False
    return ("a window", False) if has_display() else ("no window", True)


def run_for(session: LiveSession, seconds: float, stopped: Callable[[], bool]) -> None:
    """Run the session for `seconds`, or until `stopped()`."""
    end = time.perf_counter() + seconds
    session.display.run(lambda: time.perf_counter() >= end or stopped())


def without_sound_and_osc(settings: Settings, headless: bool) -> Settings:
    """The settings with muted playback and without OSC."""
    return settings.model_copy(
        update={
            "sound": settings.sound.model_copy(update={"mute": True, "audio": "", "device": "mic"}),
            "osc": settings.osc.model_copy(update={"port": 0}),
            "window": settings.window.model_copy(update={"headless": headless}),
            "seconds": 0.0,
        }
    )


def stage_rows(times: StageTimes) -> Iterable[dict[str, Any]]:
    """One row per stage: name, count, and percentiles in milliseconds."""
    for stage in times.stages:
        p50, p95, p99 = (round(1000 * value, 3) for value in times.percentiles(stage))
        yield {"kind": "stage", "stage": stage, "n": times.count(stage), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def print_rows(rows: list[dict[str, Any]], summary: dict[str, Any], as_json: bool) -> None:
    """Print JSON lines, or a table."""
    if as_json:
        for row in [*rows, summary]:
            click.echo(json.dumps(row))
        return
    click.echo(f"{'stage':<12}{'n':>7}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}")
    for row in rows:
        click.echo(f"{row['stage']:<12}{row['n']:>7}{row['p50_ms']:>10.2f}{row['p95_ms']:>10.2f}{row['p99_ms']:>10.2f}")
    for key, value in summary.items():
        if key != "kind":
            click.echo(f"{key:<18}{value}")
