"""`tpos-live bench`: measures a whole show."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.tiny_engine import make_tiny_engine

from tpos_live.bench import session as bench
from tpos_live.bench.waiting import run_until_first_frame
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession


@pytest.mark.slow
@pytest.mark.parametrize("cap", [0.0, 20.0])
def test_a_show_without_a_window_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cap: float
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(bench, "WARM_UP", 0.3)
    folder = make_tiny_engine(tmp_path / "engine")
    engine = {"engine.name": str(folder), "engine.accelerator": "eager", "engine.size": "64", "engine.threads": 1}
    results = tmp_path / "results.jsonl"
    settings = load_settings(engine | {"engine.fps_cap": cap})
    assert bench.bench_show(settings, 1.0, as_json=True, append=results) == 0
    *stages, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert {row["stage"] for row in stages} == {
        "analysis",
        "encoder",
        "host",
        "conditioning",
        "noise",
        "encode",
        "unet",
        "decode",
        "total",
        "mix",
    }
    assert all(row["n"] > 0 and 0 <= row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] for row in stages)
    assert summary["stage"] == "CPU" and summary["size"] == [64, 64] and summary["accelerator"] == "eager"
    assert 1.0 <= summary["seconds"] < 2.0 and summary["samples_lost"] == 0
    assert summary["first_picture_s"] > 0 and 0 < summary["loading_wait_ms"] < 5000
    assert 0 < summary["engine_busy"] <= 1 and summary["engine_fps"] > 0
    if cap:
        assert summary["engine_fps"] <= cap + 2
    row = json.loads(results.read_text())
    assert row["kind"] == "whole" and row["fps_cap"] == cap and row["engine_fps"] == summary["engine_fps"]


def test_every_part_is_closed_whatever_another_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    folder = make_tiny_engine(tmp_path / "engine")
    engine = {"engine.name": str(folder), "engine.accelerator": "eager", "engine.size": "64", "engine.threads": 1}
    before = set(threading.enumerate())
    session = LiveSession(load_settings(engine | {"window.headless": True, "osc.port": 0}), demo=True)
    real = session.controls.close

    def failing(*given: Any, **named: Any) -> None:
        real(*given, **named)
        raise OSError("the disk is gone")

    monkeypatch.setattr(session.controls, "close", failing)
    with pytest.raises(OSError, match="the disk is gone"), session:
        run_until_first_frame(session)
    run_for = time.monotonic() + 10.0
    while (left := set(threading.enumerate()) - before) and time.monotonic() < run_for:
        next(iter(left)).join(0.1)
    assert not [thread.name for thread in left if not thread.daemon or "render" in thread.name or "osc" in thread.name]
