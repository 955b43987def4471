"""How much of the device the pictures take, with and without a cap, on a clock that the test owns."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.timing import Rate, StageTimes
from tpos_live.diffusion.cuda.streams import LOWEST, DeviceTime, queue_last
from tpos_live.diffusion.generator import Painter
from tpos_live.diffusion.model.engine import Engine
from tpos_live.runtime.render_thread import RenderThread

CPU = torch.device("cpu")


class Clock:
    """Seconds that pass only when somebody sleeps or draws; also the thread's event to stop."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.slept += seconds
        self.now += seconds
        return False


class Draws:
    """A painter and mixer whose every picture takes 10 ms of the clock."""

    took = 0.010
    directions = regions = None
    on_card = False

    def __init__(self, clock: Clock) -> None:
        self.times = StageTimes()
        self._clock = clock

    def tokens(self, *_given: Any) -> torch.Tensor:
        return torch.zeros(1, 1)

    def draw(self, *_given: Any, **_named: Any) -> Any:
        self._clock.now += self.took
        return None

    def remark(self) -> str:
        return ""


@pytest.mark.parametrize(("cap", "rate", "share"), [(30.0, 30.0, 0.3), (60.0, 60.0, 0.6), (0.0, 100.0, 1.0)])
def test_with_a_cap_the_device_idles_for_the_rest(cap: float, rate: float, share: float) -> None:
    clock, frame_params = Clock(), Mailbox[FrameParams]()
    draws: Any = Draws(clock)
    thread = RenderThread(
        draws, draws, frame_params, Mailbox(), ParameterStore(), Mailbox(), fps_cap=cap, report=pytest.fail, clock=clock
    )
    thread._stop = clock  # type: ignore[assignment]
    busy, drawn, began = Rate(), Rate(), clock.now
    assert busy.at(clock.now, thread.busy) == drawn.at(clock.now, thread.drawn) == 0.0
    while clock.now < began + 10.0:
        frame_params.put(FrameParams(time=clock.now - began))  # never late, as from a sound that runs
        thread._turn()
    passed = clock.now - began
    assert drawn.at(clock.now, thread.drawn) == pytest.approx(rate, rel=0.01)
    assert busy.at(clock.now, thread.busy) == pytest.approx(share, rel=0.01)
    assert clock.slept == pytest.approx(passed * (1 - share), abs=0.1), "asleep, and not turning in a circle"


def test_a_rate_is_of_the_last_half_second_and_survives_a_new_count() -> None:
    rate = Rate(every=0.5)
    assert rate.at(1.0, 7.0) == 0.0, "nothing is known yet"
    assert rate.at(1.2, 9.0) == 0.0
    assert rate.at(2.0, 10.0) == pytest.approx(3.0)
    assert rate.at(2.4, 99.0) == pytest.approx(3.0), "held between two looks"
    assert rate.at(3.0, 10.0) == 0.0
    assert rate.at(4.0, 2.0) == 0.0, "a count that begins anew is not a negative rate"
    assert rate.at(5.0, 4.0) == pytest.approx(2.0)


class Mark:
    """An event of a card: a time in milliseconds, known once it was passed."""

    def __init__(self, at: list[float]) -> None:
        self._at, self.passed, self.now = at, True, 0.0

    def record(self) -> None:
        self.now = self._at.pop(0)

    def query(self) -> bool:
        return self.passed

    def elapsed_time(self, end_event: Mark) -> float:
        return end_event.now - self.now


def test_on_a_card_the_time_between_two_marks_counts() -> None:
    first, last = Mark([0.0, 10.0, 20.0, 30.0, 40.0]), Mark([4.0, 15.0, 33.0])
    time = DeviceTime(CPU, (first, last))
    time.begin()
    time.end(9.0)
    assert time.took == 0.0, "not read before the next picture begins: reading would wait"
    time.begin()
    assert time.took == pytest.approx(0.004)
    time.end(9.0)
    time.begin()  # this one fails
    assert time.took == pytest.approx(0.005)
    time.begin()
    assert time.took == pytest.approx(0.005), "a picture that failed has no end"
    last.passed = False
    time.end(9.0)
    time.begin()
    assert time.took == pytest.approx(0.005), "nobody waits for a mark"


def test_elsewhere_the_painters_own_time_counts(turbo: Engine) -> None:
    painter = Painter(turbo, (64, 64), "eager", threads=1)
    tokens = torch.zeros(painter.token_rows, turbo.token_dim)
    total = 0.0
    for n in range(3):
        painter.draw(FrameParams(time=n / 30), tokens, ParameterStore().snapshot())
        total += painter.took
    assert total == pytest.approx(float(painter.times.values("total").sum())) and total > 0


def test_the_render_thread_queues_behind_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a card: a stream of its own, of the lowest priority, once; it waits for what was queued before, each time."""
    done: list[Any] = []

    class Stream:
        def __init__(self, device: Any = None, priority: int = -1) -> None:
            done.append(("made", priority))

        def wait_stream(self, other: Any) -> None:
            done.append(("waits for", other))

    shared: Any = object()
    current = [shared]
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: shared)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current[0])
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: current.__setitem__(0, stream))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    queue_last(CPU)
    assert done == []
    for _ in range(2):
        queue_last(torch.device("cuda"))
    assert done == [("made", LOWEST), ("waits for", shared), ("waits for", shared)] and LOWEST == 0


def test_host_time_is_what_the_networks_leave(turbo: Engine) -> None:
    painter = Painter(turbo, (64, 64), "eager", threads=1)
    tokens = torch.zeros(painter.token_rows, turbo.token_dim)
    painter.draw(FrameParams(), tokens, ParameterStore().snapshot())
    host, noise, unet, decode, total = (float(painter.times.values(stage)[0]) for stage in painter.times.stages)
    assert host + unet + decode == pytest.approx(total) and 0 < host < total and unet > 0 and noise > 0
