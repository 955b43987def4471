"""`bench engine`: three loops on the same weights, results with commit and machine, and their table."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from fakes.forked_python import forked_python
from fakes.tiny_engine import make_tiny_engine
from fakes.tools import require_tool

from tpos_live.bench import baselines as bench_baselines
from tpos_live.bench import engine as bench_engine
from tpos_live.bench.results import append_results, machine, processor
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.backends.cuda_graph import networks
from tpos_live.diffusion.backends.registry import choose
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.captured import CapturedBackend

PLOT = Path(__file__).parents[2] / "benchmarks" / "plot.py"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sd-turbo", "flow"])
def test_three_loops_on_the_same_weights(tmp_path: Path, kind: str) -> None:
    folder = make_tiny_engine(tmp_path / "engine", kind)  # type: ignore[arg-type]
    settings = load_settings(
        {"engine.name": str(folder), "engine.size": "64", "engine.accelerator": "eager", "engine.threads": 1}
    )
    rows = bench_engine.measure(settings, frames=3)
    assert [row["loop"] for row in rows] == ["tpos-live", "apart", "stock"]
    for row in rows:
        assert row["frames"] == 3 and row["fps"] > 0 and row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["gflop"] == rows[0]["gflop"] > 0 and row["peak_tflops"] > 0
        assert row["size"] == [64, 64] and row["accelerator"] == "eager"
    assert 0 < rows[0]["host_ms"] < rows[0]["p50_ms"] and rows[0]["host_by"] == "hollow"
    assert rows[0]["changes_ms"] > 0 and 1 <= rows[0]["changes_p99"] <= rows[0]["changes_slowest"] < 50
    assert rows[0]["host_ms"] <= rows[0]["host_p99_ms"] and 0.5 < rows[0]["busy"] <= 1.0 and "busy" not in rows[1]
    for row in rows[1:]:
        assert row["ours_is_times_faster"] == pytest.approx(row["p50_ms"] / rows[0]["p50_ms"], rel=0.01)


@pytest.mark.parametrize("kind", ["sd-turbo", "sdxl"])
def test_the_streamdiffusion_like_loop_draws_the_engines_frame(tmp_path: Path, kind: str) -> None:
    """From the same noise it gives the stock pipeline's image, so the baseline does all the work."""
    folder = make_tiny_engine(tmp_path / "engine", kind)  # type: ignore[arg-type]
    engine = load_engine(folder, "cpu")

    class Canvas:
        size = (64, 64)
        request = BackendRequest(engine, (64, 64), engine.text_tokens + 4)
        backend = choose("eager", request)

    Canvas.engine = engine  # type: ignore[attr-defined]
    with torch.inference_mode():
        torch.manual_seed(3)
        stream_diffusion_like = np.asarray(bench_baselines.stream_diffusion_like(Canvas, 2)(0)).astype(float)  # type: ignore[arg-type]
        Canvas.backend = CapturedBackend("recorded", Canvas.request, networks(engine))
        torch.manual_seed(3)
        recorded = np.asarray(bench_baselines.stream_diffusion_like(Canvas, 2, recorded=True)(0)).astype(float)  # type: ignore[arg-type]
        torch.manual_seed(3)
        stock = np.asarray(bench_baselines.stock(folder, Canvas, 2)(0))[0] * 255  # type: ignore[arg-type]
    assert np.abs(stream_diffusion_like - stock).mean() < 2.0 and stream_diffusion_like.std() > 1
    assert np.abs(stream_diffusion_like - recorded).max() <= 3.0


def test_results_are_appended_with_commit_and_machine(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.jsonl"
    loop = {
        "kind": "loop", "engine": "Tiny", "accelerator": "eager", "size": [64, 64], "steps": 1, "fps": 10.0,
        "p50_ms": 100.0, "p95_ms": 110.0, "p99_ms": 120.0, "share_of_peak": 0.2, "loop": "tpos-live",
    }  # fmt: skip
    append_results(path, [loop], {"gpu": "", "processor": "x"})
    append_results(path, [{**loop, "loop": "stock", "fps": 4.0, "ours_is_times_faster": 2.5}], {"gpu": "Card 9"})
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 2 and all(row["date"] and "commit" in row and row["machine"] for row in rows)

    page = tmp_path / "page.md"
    page.write_text("# Speed\n\n<!-- results -->\nold\n<!-- end of results -->\n\nAfter.\n")
    command = [sys.executable, str(PLOT), str(path), str(page)]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    text = page.read_text()
    assert "old" not in text and text.endswith("After.\n") and "Card 9" in text and "2.5" in text
    assert text.count("| Tiny") == 2 and "(page.svg)" in text and "whole show" not in text
    subprocess.run(command, check=True, timeout=60)
    assert page.read_text() == text, "making it again changes nothing"
    found = ElementTree.parse(tmp_path / "page.svg").getroot()
    bars = [float(bar.get("width", 0)) for bar in found.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert len(bars) == 2 and sorted(bars)[0] / sorted(bars)[1] == pytest.approx(0.4, abs=0.01)

    steady = {"host_ms": 0.31, "host_p99_ms": 0.5, "busy": 0.9, "memory_gb": 2.1}
    counts = {"allocations": 3.0, "driver_allocations": 0.0, "syncs": 1.5, "changes_slowest": 1.25}
    show = {**loop, "kind": "show", "engine_fps": 8.2, "bare_fps": 10.0, "over_bare_engine": 0.82, "engine_busy": 0.3}
    alone = {**show, "kind": "whole", "shown_fps": 60.0, "first_picture_s": 12.34, "stage": "Card 9/PCIe"}
    wholes = [{**alone, "fps_cap": 30.0, "engine_fps": 29.9}, {**alone, "fps_cap": 0.0, "engine_fps": 70.0}]
    append_results(path, [{**loop, **steady, **counts}, show, *wholes], {"gpu": "Card 9"})
    subprocess.run(command, check=True, timeout=60)
    text = page.read_text()
    assert "| 0.31 (0.50) | 90% | 2.10 | 3.0, 0.00, 1.50 | 1.25 |" in text
    assert "| no window | 8.2 for 10.0 | 0.82 | 30% |" in text
    assert "| Card 9 | 30.0 | 29.9, 60.0 | 30% | 12.3 |" in text and "| Card 9 | none | 70.0, 60.0 |" in text

    (tmp_path / "bad.jsonl").write_text("{broken\n")
    bad = subprocess.run(
        [sys.executable, str(PLOT), str(tmp_path / "bad.jsonl"), str(page)], capture_output=True, text=True, timeout=60
    )
    assert bad.returncode != 0 and "line 1" in bad.stderr and "Traceback" not in bad.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_gpu_script_runs_line_by_line_on_a_cpu(tmp_path: Path) -> None:
    """Time on a card is expensive, so typing errors in the script must be found without one.

    PyTorch traces the networks and generates no code, which takes a minute here and is another on a card."""
    require_tool("bash", "timeout", "g++")
    out = tmp_path / "results.jsonl"
    environment = {**os.environ, "TINY": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment |= {"TORCH_BISECT_BACKEND": "eager", "OMP_NUM_THREADS": "1"}
    command = ["bash", str(PLOT.parent / "gpu.sh"), str(out)]
    with forked_python() as python:
        environment["PYTHON"] = python
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=890)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    found = {(row["loop"], row["accelerator"], row["steps"]) for row in rows if row["kind"] == "loop"}
    assert {("tpos-live", "compile", 1), ("apart", "compile", 1), ("stock", "eager", 1)} <= found
    assert {("tpos-live", "eager", 1), ("tpos-live", "eager", 4), ("stream batch", "eager", 4)} <= found
    assert next(row["pictures_late"] for row in rows if row["loop"] == "stream batch") == 3


def test_the_show_draws_what_the_bare_engine_drew() -> None:
    settings = load_settings({"engine.fps_cap": 30.0, "parameters.steps": 1}, here=Path("/nowhere"))
    same = bench_engine._same_frame(settings, {"size": [256, 256], "steps": 2})
    assert (same.engine.size, same.engine.fps_cap, same.parameters["steps"]) == ("256x256", 0.0, 2)


def test_figures_name_their_processor() -> None:
    about = machine()
    assert about["processor"] == processor() != ""
    assert about["instructions"].split(",")[0] == torch.backends.cpu.get_cpu_capability()
    listed = Path("/proc/cpuinfo")
    if listed.exists() and "model name" in (text := listed.read_text()):
        assert about["processor"].split()[-1] in text and about["processor"] != platform.machine()
