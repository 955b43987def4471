"""`bench engine`: host time, counts on a card, and the ratio of the whole show to the engine alone."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from tpos_live.bench import engine as bench_engine
from tpos_live.bench.overhead import counted, device_counts, host_times
from tpos_live.core.errors import EngineError


class Canvas:
    """A generator whose frames take 10 ms, 2 of them in Python, on a fake clock."""

    class engine:
        device = torch.device("cpu")

    def __init__(self, backend: Any) -> None:
        self.backend, self.now = backend, 0.0

    def use(self, backend: Any) -> None:
        self.backend = backend

    def draw(self, _n: int) -> None:
        self.now += 0.002
        if self.backend.name != "hollow":
            self.now += 0.008
            self.backend.waited = (self.backend.waited or 0.0) + 0.008


class Networks:
    name, torch_threads, waited = "eager", 1, None


def test_without_networks_what_is_left_is_python() -> None:
    networks = Networks()
    canvas: Any = Canvas(networks)
    found = host_times(canvas, canvas.draw, 20, clock=lambda: canvas.now)
    assert found == {"host_ms": 2.0, "host_p99_ms": 2.0, "host_by": "hollow"}
    assert canvas.backend is networks, "the networks are back"


def test_on_a_card_the_wait_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Canvas.engine, "device", torch.device("cuda"))
    networks: Any = Networks()
    networks.waited = 1.0
    canvas: Any = Canvas(networks)
    found = host_times(canvas, canvas.draw, 20, clock=lambda: canvas.now)
    assert found == {"host_ms": 2.0, "host_p99_ms": 2.0, "host_by": "waiting"}
    assert networks.waited == pytest.approx(1.0 + 25 * 0.008), "every picture was drawn by the networks themselves"


def test_counts_are_of_one_frame() -> None:
    before = {"allocation.all.allocated": 100, "num_device_alloc": 7}
    after = {"allocation.all.allocated": 700, "num_device_alloc": 8}
    assert counted(before, after, 400, 200) == {"allocations": 3.0, "driver_allocations": 0.005, "syncs": 2.0}


def test_waits_are_counted_by_torchs_own_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake card: one hidden wait and two blocks per frame, and one driver allocation in total."""
    stats, modes = {"allocation.all.allocated": 10, "num_device_alloc": 3}, ["default"]

    def draw(n: int) -> None:
        stats["allocation.all.allocated"] += 2
        stats["num_device_alloc"] += n == 20
        if modes[-1] == "warn":
            warnings.warn("called a synchronizing CUDA operation", UserWarning, stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)
            asked = "called a synchronizing CUDA operation"  # as Stream.synchronize says it, which is not hidden
            warnings.warn_explicit(asked, UserWarning, "torch/cuda/streams.py", 108)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda: dict(stats))
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    assert device_counts(draw, 50) == {"allocations": 2.0, "driver_allocations": 0.02, "syncs": 1.0}
    assert modes[-1] == "default"


def test_without_a_card_nothing_is_counted() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a card")
    assert device_counts(lambda n: pytest.fail("drawn"), 3) == {}


SAME = {"accelerator": "eager", "size": [64, 64], "steps": 2}


def test_the_show_over_the_bare_engine() -> None:
    bare = {"engine": "Tiny", "fps": 50.0, **SAME}
    summary = {**SAME, "engine_fps": 41.0, "shown_fps": 30.0, "engine_busy": 0.9}
    summary |= {"samples_lost": 0, "stage": "x", "seconds": 20.0}
    row = bench_engine._over_bare(bare, summary)
    assert row["kind"] == "show" and row["over_bare_engine"] == 0.82 and row["bare_fps"] == 50.0
    assert row["engine_busy"] == 0.9 and row["steps"] == 2
    for other in ({"steps": 1}, {"accelerator": "openvino"}, {"size": [32, 32]}):
        with pytest.raises(EngineError, match="ratio"):
            bench_engine._over_bare(bare, summary | other)


def test_the_share_of_busy_time_is_of_the_whole_time() -> None:
    device = torch.device("cpu")
    took, memory, busy = bench_engine._measure(lambda n: sum(range(20_000)), 5, device, kept=lambda: 0.001)
    assert memory == 0.0 and len(took) == 5
    assert busy == pytest.approx(5 * 0.001 / float(np.sum(took)))
