"""An engine that hangs: noticed within seconds, abandoned, and the show continues."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.waiting import wait_until

from tpos_live.core.errors import EngineHungError
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime import engine_watch
from tpos_live.runtime.engine_loader import EngineLoader
from tpos_live.runtime.engine_watch import FACTOR, FIRST, LEAST, CallMeter, EngineWatch
from tpos_live.runtime.failover import RETRIES, FailureKind, Fallback, choose_fallback, classify_failure
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.runtime.watchdog import HUNG, Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A watch and its clock, which looks 4 times a second."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.meter = CallMeter(self.clock)
        self.hung: list[float] = []
        self.watch = EngineWatch(lambda: [self.meter], self.hung.append)

    def pass_time(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(round(seconds / step)):
            self.clock.now += step
            self.watch.check(self.clock.now)

    def call(self, seconds: float) -> None:
        with self.meter:
            self.pass_time(seconds)


def test_a_call_hangs_that_takes_much_longer_than_the_last_ones() -> None:
    watched = Watched()
    watched.call(FIRST - 1)
    assert watched.hung == [], "the first call of a backend may take a minute"
    for seconds in (0.25, 2.0, 1.0):
        watched.meter.forget()
        watched.call(seconds)
        allowed = max(LEAST, FACTOR * seconds)
        watched.call(allowed - 1)
        assert watched.hung == []
        watched.meter.forget()
        watched.call(seconds)
        watched.call(allowed + 30)
        assert len(watched.hung) == 1 and allowed < watched.hung.pop() <= allowed + 1, "said once, and soon"


def test_many_calls_one_after_the_other_do_not_hang() -> None:
    watched = Watched()
    for _ in range(100):
        watched.call(0.5)
        watched.pass_time(0.25)
    assert watched.hung == []


def test_a_computer_that_was_asleep_has_not_waited() -> None:
    watched = Watched()
    watched.call(0.5)
    with watched.meter:
        watched.pass_time(1.0)
        watched.clock.now += 3600
        watched.pass_time(5.0)
        assert watched.hung == []
        watched.pass_time(5.0)
        assert len(watched.hung) == 1


def test_a_failed_call_says_nothing_of_how_long_calls_take() -> None:
    watched = Watched()
    with pytest.raises(ValueError), watched.meter:
        raise ValueError
    assert watched.meter.limit == FIRST and not watched.meter.running


def test_the_steps_down_from_an_engine_that_hangs() -> None:
    hung = classify_failure(EngineHungError("openvino hangs: out of memory, CUDA error"))
    assert hung is FailureKind.HUNG
    assert choose_fallback(hung, 1, True, "openvino", False) is Fallback.EAGER
    assert choose_fallback(hung, 1, True, "openvino", True) is Fallback.EAGER
    assert choose_fallback(hung, 1, True, "tensorrt", False, on_card=True) is Fallback.BUILT_IN, "not to the same card"
    assert choose_fallback(hung, 1, True, "eager", False) is Fallback.BUILT_IN
    assert choose_fallback(hung, RETRIES, True, "eager", True) is Fallback.HOLD


def test_a_heartbeat_that_stops_is_reported_once() -> None:
    pulse = Pulse(HUNG)
    assert not any(pulse.stopped(float(now), 0) for now in range(100)), "a show that says nothing is left alone"
    assert not any(pulse.stopped(100.0 + now, now + 1) for now in range(100))
    assert sum(pulse.stopped(200.0 + now, 100) for now in range(60)) == 1
    pulse.stopped(300.0, 101)
    assert not pulse.stopped(9000.0, 101), "asleep"


class Stuck:
    """Calls that do not return until the test ends."""

    def __init__(self) -> None:
        self.free, self.calls = threading.Event(), 0

    def __call__(self, *_arguments: Any) -> Any:
        self.calls += 1
        self.free.wait(60.0)
        raise RuntimeError("the driver is back")


@pytest.fixture
def session(turbo_folder: Path, flow_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LiveSession:
    """A show without a window that draws with a small engine by a backend of another name, with another one in the
    box."""
    shutil.copytree(flow_folder, tmp_path / "box" / "ember")
    monkeypatch.setattr("tpos_live.diffusion.hub.resolve._engines", lambda: tmp_path / "box")
    monkeypatch.setattr(Pipeline, "improve", lambda _pipeline: None)
    monkeypatch.setattr(engine_watch, "LEAST", 0.5)
    chosen = {"engine.name": str(turbo_folder), "engine.accelerator": "eager", "engine.size": "64"}
    chosen |= {"engine.threads": 1, "window.headless": True, "osc.port": 0, "record.resolution": "64x64"}
    return LiveSession(load_settings(chosen), demo=True)


def run(session: LiveSession, done: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    session.run_until(lambda: done() or time.monotonic() > end)
    assert done(), session.status_registry.status()


@pytest.mark.parametrize("mode", ["frames", "keyframes"])
def test_a_show_goes_on_when_its_engine_hangs(session: LiveSession, messages: list[str], mode: str) -> None:
    """First with eager, then with Ember on the CPU; the display never stops, and late frames are dropped."""
    session.store.set("engine.mode", mode)
    driver = Stuck()
    with session:
        loader = session.engine_loader
        for name, line in (("openvino", "going on at 64x64, eager"), ("eager", "Ember goes on, on the CPU")):
            run(session, lambda: (renderer := session.renderer) is not None and renderer.drawn > 4)
            renderer, pipeline = session.renderer, session.pipeline
            assert renderer is not None and pipeline is not None
            backend = pipeline.generator.backend
            backend.name = name
            if mode == "frames":
                backend.predict = driver  # type: ignore[method-assign]
            else:
                backend.decode = driver  # type: ignore[method-assign]
            calls, shown = driver.calls, session.display.meter.count
            run(session, lambda calls=calls: driver.calls > calls)
            run(session, lambda line=line: any(line in told for told in messages))
            assert session.display.meter.count > shown + 3, "the display waited for the engine"
            assert session.renderer is not renderer and loader.error is None
            assert not renderer.swap(backend)
        run(session, lambda: session.renderer is not None and session.renderer.drawn > 4)
        assert pipeline.engine.name == "Tiny flow"
        assert [sum(word in told for told in messages) for word in ("holding the last frame", "hangs")] == [2, 4]
        driver.free.set()
        time.sleep(0.1)
        assert not any("the driver is back" in told for told in messages)
        begin = time.monotonic()
    assert time.monotonic() - begin < 3.0
    assert wait_until(lambda: not any(thread.name in ("render", "engine-watch") for thread in threading.enumerate()))


@pytest.mark.parametrize("watchdog", [False, True])
def test_without_a_fallback_the_show_is_left_to_the_watchdog(
    session: LiveSession, messages: list[str], monkeypatch: pytest.MonkeyPatch, watchdog: bool
) -> None:
    monkeypatch.setattr(Pipeline, "fail_over", lambda *_: None)
    session.engine_loader.may_end = watchdog
    driver = Stuck()
    with session:
        run(session, lambda: session.renderer is not None and session.renderer.drawn > 4)
        assert session.pipeline is not None
        session.pipeline.generator.backend.predict = driver  # type: ignore[method-assign]
        if watchdog:
            with pytest.raises(EngineHungError, match="no fallback is left"):
                session.run_until(lambda: False)
        else:
            run(session, lambda: any("--watchdog does it by itself" in told for told in messages))
            assert session.engine_loader.error is None
        driver.free.set()


def test_a_fallback_that_fails_as_well_is_one_line(
    session: LiveSession, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError("no memory\nand a long story")

    monkeypatch.setattr(Pipeline, "fail_over", fail)
    driver = Stuck()
    with session:
        run(session, lambda: session.renderer is not None and session.renderer.drawn > 4)
        assert session.pipeline is not None
        session.pipeline.generator.backend.predict = driver  # type: ignore[method-assign]
        run(session, lambda: any("another one cannot be started: no memory" in told for told in messages))
        driver.free.set()
    assert isinstance(session.engine_loader, EngineLoader) and not any("\n" in told for told in messages)
