"""The share of time for which frames keep the device busy, with and without a cap, on the test's own clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.timing import Rate, StageTimes
from tpos_live.diffusion.backends import cuda_graph
from tpos_live.diffusion.cuda.graphs import LOWEST, use_low_priority_stream
from tpos_live.diffusion.cuda.stage_timer import StageTimer
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.captured import CapturedBackend
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
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
    """A generator and mixer whose every picture takes 10 ms of the clock."""

    busy_s = 0.010
    on_card = False

    def __init__(self, clock: Clock) -> None:
        self.times = StageTimes()
        self._clock = clock

    def build(self, *_given: Any) -> Conditioning:
        return Conditioning(torch.zeros(1, 1))

    def generate(self, *_given: Any, **_named: Any) -> Any:
        self._clock.now += self.busy_s
        return None


@pytest.mark.parametrize(("cap", "rate", "share"), [(30.0, 30.0, 0.3), (60.0, 60.0, 0.6), (0.0, 100.0, 1.0)])
def test_with_a_cap_the_device_idles_for_the_rest(cap: float, rate: float, share: float, messages: list[str]) -> None:
    clock, frame_params = Clock(), Mailbox[FrameParams]()
    draws: Any = Draws(clock)
    thread = RenderThread(draws, draws, frame_params, Mailbox(), ParameterStore(), Mailbox(), fps_cap=cap, clock=clock)
    thread._stop = clock  # type: ignore[assignment]
    busy, drawn, began = Rate(), Rate(), clock.now
    assert busy.at(clock.now, thread.busy) == drawn.at(clock.now, thread.drawn) == 0.0
    while clock.now < began + 10.0:
        frame_params.put(FrameParams(time=clock.now - began))  # never late, as from a sound that runs
        thread._turn()
    passed = clock.now - began
    assert drawn.at(clock.now, thread.drawn) == pytest.approx(rate, rel=0.01)
    assert busy.at(clock.now, thread.busy) == pytest.approx(share, rel=0.01)
    assert not messages, "no frame failed"
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


class Event:
    """An event of a card: a time in milliseconds, known once it was passed."""

    def __init__(self, card: Card) -> None:
        self._card, self.at = card, 0.0

    def record(self) -> None:
        self.at = self._card.now

    def query(self) -> bool:
        return self._card.passed

    def elapsed_time(self, end_event: Event) -> float:
        return end_event.at - self.at


class Card:
    """A card whose work takes as long as the test says; the host's clock runs as the test says."""

    def __init__(self) -> None:
        self.now, self.host, self.passed = 0.0, 0.0, True
        self.timer = StageTimer(CPU, ("noise", "unet"), lambda: Event(self), lambda: self.host)

    def frame(self, host_ms: float, fails: bool = False, **stages: float) -> None:
        """stages: what the card works on, in milliseconds. host_ms: how long the host needs for all of it."""
        self.timer.begin()
        for stage, milliseconds in stages.items():
            self.timer.enter(stage)
            self.now += milliseconds
        self.host += host_ms / 1000
        if not fails:
            self.timer.end()


def test_on_a_card_stages_are_the_time_between_events() -> None:
    card = Card()
    timer, times = card.timer, card.timer.times
    card.frame(12.0, noise=1.0, unet=6.0, host=2.0)
    assert timer.busy_s == 0.0 and times.count("total") == 0, "not read before the next frame begins"
    card.frame(5.0, noise=1.0, unet=3.0)
    assert timer.busy_s == pytest.approx(0.009), "gaps in which the host lets the card idle count"
    found = {stage: times.values(stage)[0] for stage in times.stages}
    assert found == pytest.approx({"host": 0.005, "noise": 0.001, "unet": 0.006, "total": 0.012})
    card.frame(5.0, fails=True, unet=9.0)
    assert timer.busy_s == pytest.approx(0.004) and times.values("unet")[1] == pytest.approx(0.003)
    card.frame(5.0, unet=4.0)
    assert times.count("unet") == 2, "a frame that failed has no end"
    card.passed = False
    card.frame(5.0, unet=4.0)
    assert times.count("unet") == 2, "nobody waits for an event"


def test_elsewhere_the_generators_own_time_counts(turbo: Engine) -> None:
    generator = FrameGenerator(turbo, (64, 64), "eager", GeneratorOptions(threads=1))
    tokens = torch.zeros(generator.prompt_length, turbo.token_dim)
    total = 0.0
    for n in range(3):
        generator.generate(FrameRequest(FrameParams(time=n / 30), Conditioning(tokens), ParameterStore().snapshot()))
        total += generator.busy_s
    assert total == pytest.approx(float(generator.times.values("total").sum())) and total > 0


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
    use_low_priority_stream(CPU)
    assert done == []
    for _ in range(2):
        use_low_priority_stream(torch.device("cuda"))
    assert done == [("made", LOWEST), ("waits for", shared), ("waits for", shared)] and LOWEST == 0


STAGES = ("conditioning", "noise", "encode", "unet", "decode")


class Work:
    """A clock that runs only while the work of one stage is done: a second each time."""

    def __init__(self, generator: FrameGenerator, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(generator._timer, "_clock", lambda: self.now)
        owners: dict[str, tuple[Any, str]] = {
            "host": (generator.engine.networks.live, "follow"),
            "conditioning": (generator.engine.texts, "avoid"),
            "noise": (generator._inputs.noise_field, "at"),
            "encode": (generator._source, "latent"),
            "unet": (generator.backend, "predict"),
            "decode": (generator.backend, "decode"),
        }
        if isinstance(generator.backend, CapturedBackend):
            owners |= {
                "unet": (generator.backend.pipeline, "_unet"),
                "decode": (generator.backend.pipeline, "_decoder"),
            }
        owner, name = owners[stage]
        real = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            self.now += 1.0
            return real(*given, **named)

        monkeypatch.setattr(owner, name, timed)


def request(generator: FrameGenerator, params: FrameParams, **values: Any) -> FrameRequest:
    conditioning = Conditioning(torch.zeros(generator.prompt_length, generator.engine.token_dim))
    return FrameRequest(params, conditioning, ParameterStore(values).snapshot())


@pytest.mark.parametrize("kind", ["eager", "captured", "stream batch"])
@pytest.mark.parametrize("stage", ["host", *STAGES])
def test_each_stage_has_its_own_time(turbo: Engine, kind: str, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = GeneratorOptions(threads=1, stream_batch=kind == "stream batch")
    generator = FrameGenerator(turbo, (64, 64), "eager", options)
    if kind == "captured":
        generator.use(cuda_graph.load("cuda-graph", generator.request))
    work = Work(generator, stage, monkeypatch)
    generator.generate(request(generator, FrameParams(guidance=2.0), steps=2, **{"prompt.negative": "rain"}))
    found = {each: float(generator.times.values(each)[0]) for each in generator.times.stages}
    assert found == {each: work.now if each in (stage, "total") else 0.0 for each in found}
    assert work.now >= 1.0 and generator.busy_s == work.now


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_stages_add_up_to_the_total(turbo: Engine, strength: float) -> None:
    generator = FrameGenerator(turbo, (64, 64), "eager", GeneratorOptions(threads=1))
    for n in range(5):
        params = FrameParams(time=n / 30, noise_position=n / 30, guidance=2.0, strength=strength)
        generator.generate(request(generator, params, steps=2))
    times = {stage: generator.times.values(stage) for stage in generator.times.stages}
    total = times.pop("total")
    assert np.sum(list(times.values()), axis=0) == pytest.approx(total, rel=0.1)
    assert all((times[stage] > 0).all() for stage in times)


def test_the_drafts_pass_of_the_unet_counts_as_the_unets(turbo: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = FrameGenerator(turbo, (64, 64), "eager", GeneratorOptions(threads=1))
    work = Work(generator, "unet", monkeypatch)
    generator.generate(request(generator, FrameParams(strength=0.5)))
    assert generator.times.values("unet")[0] == work.now == 2.0 and generator.times.values("noise")[0] == 0.0
