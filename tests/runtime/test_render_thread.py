from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from fakes.render_show import Show
from fakes.waiting import wait_until

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.runtime.extrapolator import FrameParamsExtrapolator
from tpos_live.runtime.failover import FailoverResult


def test_draws_the_newest_moment(flow: Engine) -> None:
    show = Show(flow)
    for n in range(5):
        show.frame_params.put(FrameParams(time=n))
    with show.thread:
        assert wait_until(lambda: show.frames.latest() is not None)
        frame = show.frames.take()
        assert frame is not None and frame.time == 4
        show.frame_params.put(FrameParams(time=50))
        assert wait_until(lambda: (show.frames.latest() or frame).time >= 50)
    assert wait_until(lambda: not show.thread._thread.is_alive())


def test_goes_on_while_the_sound_is_late(flow: Engine, messages: list[str]) -> None:
    show = Show(flow)
    with show.thread:
        time.sleep(0.1)
        assert show.thread.drawn == 0  # nothing was heard yet
        show.frame_params.put(FrameParams(time=1))
        assert wait_until(lambda: show.thread.drawn >= 4)
        assert messages == []


def test_the_extrapolator_continues_at_the_last_speed() -> None:
    extrapolator = FrameParamsExtrapolator()
    assert extrapolator.next(None, 10.0) is None
    first = FrameParams(time=1.0, heard_at=5.0, noise_position=2.0, pan_x=0.5)
    assert extrapolator.next(first, 10.0) is first
    alone = extrapolator.next(None, 10.2)
    assert alone is not None and (alone.time, alone.noise_position) == (pytest.approx(1.2), 2.0)
    second = FrameParams(time=1.1, heard_at=5.1, noise_position=2.2, pan_x=0.4, exposure=0.7)
    assert extrapolator.next(second, 10.3) is second
    later = extrapolator.next(None, 10.8)
    assert later is not None
    assert (later.time, later.heard_at) == (pytest.approx(1.6), pytest.approx(5.6))
    assert (later.noise_position, later.pan_x, later.exposure) == (pytest.approx(3.2), pytest.approx(-0.1), 0.7)


def test_an_onset_is_not_extrapolated() -> None:
    """After a jump, and before new sound has come, the image never moves back."""
    extrapolator, walk, now, drawn = FrameParamsExtrapolator(), 0.0, 0.0, []
    for n in range(200):
        walk += 0.5 if n % 40 == 20 else 0.01
        for later in (0.0, 0.006):  # a frame of the record itself, and one before the next record
            params = extrapolator.next(
                FrameParams(time=n / 100, noise_position=walk) if later == 0.0 else None, now + later
            )
            assert params is not None
            drawn.append(params.noise_position)
        now += 0.01
    steps = np.diff(drawn)
    assert steps.min() >= 0 and np.median(steps) == pytest.approx(0.005, abs=0.002)
    opposed = FrameParamsExtrapolator()
    for n, x in enumerate((0.0, 0.1, 0.0)):
        opposed.next(FrameParams(time=float(n), pan_x=x), float(n))
    assert opposed.next(None, 2.5).pan_x == 0.0  # type: ignore[union-attr]


def test_a_card_does_not_wait_for_the_sound_and_mixes_meanwhile(flow: Engine, messages: list[str]) -> None:
    show = Show(flow)
    show.generator.on_card = True
    mixed: list[str] = []
    waited: list[float] = []
    real_draw, real_mix, real_wait = show.generator.generate, show.thread._build, show.frame_params.wait

    def draw(*args: Any, **named: Any) -> Frame:
        mixed.append("draw")
        return real_draw(*args, **named)

    def mix(*args: Any) -> Any:
        mixed.append("mix")
        return real_mix(*args)

    show.frame_params.wait = lambda timeout: (waited.append(timeout), real_wait(timeout))[1]  # type: ignore[method-assign]
    show.generator.generate = draw  # type: ignore[method-assign]
    show.thread._build = mix  # type: ignore[method-assign]
    show.frame_params.put(FrameParams(time=1))
    with show.thread:
        assert wait_until(lambda: show.thread.drawn >= 12)
    assert set(waited[1:-1]) == {0.0}, "it waits for the first Drive alone"
    # The first conditioning is built before its frame, all others while the previous frame is drawn.
    assert mixed[:7] == ["mix", "draw", "mix", "draw", "mix", "draw", "mix"]
    assert show.thread.error == "" and messages == []


def test_a_card_waits_while_there_is_nothing_to_draw(flow: Engine) -> None:
    """Until the first prompt is encoded the thread must not keep the interpreter busy: the text encoder needs it."""
    show = Show(flow)
    show.generator.on_card = True
    mixes, waited, real_wait = [0], [0.0], show.frame_params.wait

    def mix(*_args: Any) -> None:
        mixes[0] += 1

    show.thread._build = mix  # type: ignore[method-assign]
    show.frame_params.wait = lambda timeout: (waited.append(timeout), real_wait(timeout))[1]  # type: ignore[method-assign]
    show.frame_params.put(FrameParams(time=1))
    with show.thread:
        assert wait_until(lambda: mixes[0] >= 4)
    assert min(waited[1:]) > 0 and show.thread.drawn == 0


def test_under_a_cap_nothing_is_mixed_early(flow: Engine) -> None:
    show = Show(flow, fps_cap=200.0)
    show.generator.on_card = True
    with show.thread:
        show.frame_params.put(FrameParams(time=1))
        assert wait_until(lambda: show.thread.drawn >= 3)
        assert show.thread._ahead is None


def test_an_error_keeps_the_show_running(flow: Engine, messages: list[str]) -> None:
    show = Show(flow)
    good = show.generator.backend.decode
    broken = [True]

    def decode(latent: object, out: np.ndarray) -> None:
        if broken[0]:
            raise RuntimeError("the card is gone\nand a long story")
        good(latent, out)  # type: ignore[arg-type]

    show.generator.backend.decode = decode  # type: ignore[method-assign]
    with show.thread:
        show.frame_params.put(FrameParams(time=1))
        assert wait_until(lambda: show.thread.failed == 1)
        show.frame_params.put(FrameParams(time=2))
        assert wait_until(lambda: show.thread.failed == 2)
        assert len(messages) == 1 and "the card is gone" in messages[0] and "\n" not in messages[0]
        broken[0] = False
        show.frame_params.put(FrameParams(time=3))
        assert wait_until(lambda: show.thread.drawn == 1)
        assert show.thread.error == ""


def test_what_fails_between_two_frames_does_not_end_the_thread(flow: Engine, messages: list[str]) -> None:
    """Without this thread no frame would be drawn any more."""

    class Drawer:
        failures = 3

        def wait(self, now: float) -> float:
            if self.failures:
                self.failures -= 1
                raise ZeroDivisionError("a beat that lasts no time")
            return 0.0

        def draw(self, generator: FrameGenerator, request: FrameRequest, meanwhile: object) -> None:
            generator.generate(request)

    show = Show(flow, drawer=Drawer())
    with show.thread:
        show.frame_params.put(FrameParams(time=1))
        assert wait_until(lambda: show.thread.drawn >= 2)
    assert len(messages) == 1 and "lasts no time" in messages[0]


def test_swaps_the_backend_between_frames(flow: Engine) -> None:
    from tpos_live.diffusion.backends.eager import EagerBackend

    show = Show(flow)
    faster = EagerBackend(flow)
    with show.thread:
        show.thread.swap(faster)
        show.frame_params.put(FrameParams(time=1))
        assert wait_until(lambda: show.thread.drawn == 1)
    assert show.generator.backend is faster


@pytest.mark.parametrize("holds", [True, False])
def test_a_swap_in_a_failover_waits_for_its_result(flow: Engine, holds: bool) -> None:
    """The backend of a failed engine must not draw with the next one, nor be reported; if the engine is kept, its
    faster backend is not lost."""
    from tpos_live.diffusion.backends.eager import EagerBackend

    began, go, swapped = threading.Event(), threading.Event(), list[bool]()
    after = Show(flow)

    def fail_over(error: Exception, failures: int) -> FailoverResult | None:
        began.set()
        assert go.wait(30)
        show.generator.backend.decode = decode  # type: ignore[method-assign]
        return None if holds else FailoverResult(after.generator, after.thread._builder, "going on")

    def fail(latent: object, out: np.ndarray) -> None:
        raise RuntimeError("the card is gone")

    show = Show(flow, fail_over=fail_over)
    decode, own = show.generator.backend.decode, after.generator.backend
    show.generator.backend.decode = fail  # type: ignore[method-assign, assignment]
    faster = EagerBackend(flow)
    with show.thread:
        show.frame_params.put(FrameParams(time=1))
        assert began.wait(30)
        loader = threading.Thread(target=lambda: swapped.append(show.thread.swap(faster)), daemon=True)
        loader.start()
        loader.join(0.1)
        go.set()
        loader.join(30)
        assert wait_until(lambda: show.thread.drawn >= 2)
    assert swapped == [holds]
    assert show.generator.backend is faster if holds else after.generator.backend is own


@pytest.mark.parametrize("at", ["settle", "use"])
def test_what_fails_beside_a_frame_ends_no_show(flow: Engine, messages: list[str], at: str) -> None:
    """As a lack of memory does, where a backend prepares itself at the start, or in place of another one."""
    show = Show(flow)
    real = getattr(show.generator, at)

    def fail(*_args: object) -> None:
        setattr(show.generator, at, real)
        raise RuntimeError("out of memory")

    setattr(show.generator, at, fail)
    show.frame_params.put(FrameParams(time=1))
    with show.thread:
        if at == "use":
            assert wait_until(lambda: show.thread.drawn >= 1) and show.thread.swap(show.generator.backend)
        assert wait_until(lambda: show.thread.failed == 1)
        before = show.thread.drawn
        assert wait_until(lambda: show.thread.drawn >= before + 2)
    assert len(messages) == 1 and "out of memory" in messages[0]
