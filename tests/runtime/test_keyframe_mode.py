"""Keyframes in a live session: the render thread and the in-between thread make one image."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fakes.render_show import Show
from fakes.waiting import wait_until

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.errors import CannotDrawError
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.runtime import keyframe_mode
from tpos_live.runtime.keyframe_mode import KeyframeMode
from tpos_live.runtime.offline import render_frames


class KeyframeShow:
    """A render thread that draws keyframes, with all that it needs; the time replaces sound."""

    def __init__(self, engine: Engine, **values: Any) -> None:
        self.store = ParameterStore({"engine.mode": "keyframes", "seed": 1, "prompt.fade": 0.0, **values})
        self.show = Show(engine)
        self.frames: Mailbox[Frame] = self.show.frames
        self.mode = KeyframeMode(self.store, self.show.frame_params, self.frames)
        self.show.thread._drawer = self.mode
        self.show.thread._store = self.store
        self.generator = self.show.generator
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        sound = threading.Thread(target=self._sound)
        with self.mode, self.show.thread:
            sound.start()
            try:
                yield
            finally:
                self._stop.set()
                sound.join()

    def _sound(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(0.01):
            now = time.monotonic() - began
            self.show.frame_params.put(FrameParams(time=now, noise_position=now))


def test_a_slow_engine_shows_many_frames(flow: Engine, messages: list[str]) -> None:
    """Two keyframes and more than ten different frames a second."""
    run, shown = KeyframeShow(flow, **{"engine.keyframes": 2.0}), []
    put = run.frames.put
    run.frames.put = lambda frame: (shown.append(frame.pixels.tobytes()), put(frame))[1]  # type: ignore[method-assign]
    with run.running():
        assert wait_until(lambda: run.mode.keyframes >= 2)
        keyframes, drawn, began = run.mode.keyframes, run.mode.drawn, time.monotonic()
        time.sleep(1.5)
        seconds = time.monotonic() - began
        assert (run.mode.keyframes - keyframes) / seconds <= 2.7
        assert (run.mode.drawn - drawn) / seconds > 10
        assert len(set(shown[-10:])) >= 8
        assert "a second" in run.mode.line and "first after" in run.mode.line
    assert messages == [] and wait_until(lambda: not run.mode._thread.is_alive())


def test_a_decoder_that_never_works_is_told_to_the_failover(
    flow: Engine, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tpos_live.runtime.keyframe_mode.RETRY", 0.01)
    run = KeyframeShow(flow, **{"engine.keyframes": 4.0})
    told: list[Exception] = []

    def fail(*_: Any) -> None:
        raise NotImplementedError("only 3D, 4D and 5D\nand a long story")

    run.generator.backend.decode = fail  # type: ignore[method-assign]
    run.show.thread._fail_over = lambda error, failures: told.append(error)  # type: ignore[func-returns-value]
    with run.running():
        assert wait_until(lambda: bool(told))
    assert isinstance(told[0], CannotDrawError) and "only 3D" in str(told[0]) and "\n" not in str(told[0])
    assert any("the decoder failed" in line for line in messages)


def test_the_latency_is_from_the_prompt_to_its_first_keyframe(flow: Engine) -> None:
    run = KeyframeShow(flow, **{"engine.keyframes": 4.0})
    predict = run.generator.backend.predict

    def slow(*tensors: Any) -> Any:
        time.sleep(0.2)
        return predict(*tensors)

    run.generator.backend.predict = slow  # type: ignore[method-assign]
    with run.running():
        assert wait_until(lambda: run.mode.keyframes >= 2)
        run.mode.latency, began = 0.0, time.monotonic()
        run.store.update({"prompt": "red desert"})
        assert wait_until(lambda: run.mode.latency > 0)
        assert 0.2 <= run.mode.latency <= time.monotonic() - began


def test_the_latency_begins_with_the_keyframe_where_no_thread_saw_the_prompt_before(
    flow: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the in-between thread may see a new prompt later than the render thread."""
    now = [0.0]
    monkeypatch.setattr(keyframe_mode, "time", SimpleNamespace(monotonic=lambda: now[0]))
    run = KeyframeShow(flow)
    for prompt, seconds in (("sea", 0.0), ("red desert", 100.0)):
        now[0] = seconds
        run.store.update({"prompt": prompt})
        conditioning = Conditioning(torch.zeros(run.generator.prompt_length, flow.token_dim), label=prompt)
        run.mode.draw(run.generator, FrameRequest(FrameParams(), conditioning, run.store.snapshot()), None)
    assert run.mode.latency == 0.0 and run.mode.keyframes == 2


def test_the_mode_changes_live(flow: Engine, messages: list[str]) -> None:
    run = KeyframeShow(flow, **{"engine.mode": "frames"})
    with run.running():
        assert wait_until(lambda: run.mode.drawn >= 3)
        assert run.mode.keyframes == 0 and run.mode.line == ""
        for mode in ("keyframes", "frames", "keyframes"):
            run.store.update({"engine.mode": mode})
            drawn, keyframes = run.mode.drawn, run.mode.keyframes
            assert wait_until(lambda drawn=drawn: run.mode.drawn > drawn + 5)
            if mode == "keyframes":
                assert wait_until(lambda keyframes=keyframes: run.mode.keyframes > keyframes)
    assert run.show.thread.failed == 0 and messages == []


def test_a_decoder_that_fails_is_one_line_and_the_session_goes_on(flow: Engine, messages: list[str]) -> None:
    run = KeyframeShow(flow, **{"engine.keyframes": 4.0})
    good, broken = run.generator.backend.decode, [True]

    def decode(latent: Any, out: np.ndarray) -> None:
        if broken[0]:
            raise RuntimeError("no memory\nand a long story")
        good(latent, out)

    run.generator.backend.decode = decode  # type: ignore[method-assign]
    with run.running():
        assert wait_until(lambda: run.mode.keyframes >= 3)
        assert run.mode.drawn == 0
        assert messages == ["the decoder failed, holding the last frame: no memory"]
        broken[0] = False
        assert wait_until(lambda: run.mode.drawn > 3)


def test_a_prompt_that_cannot_be_noted_does_not_end_the_thread(
    flow: Engine, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    failures = [1, 1]

    def shown_text(values: Any) -> str:
        if failures:
            failures.pop()
            raise KeyError("prompt")
        return "sea"

    monkeypatch.setattr(keyframe_mode, "shown_text", shown_text)
    run = KeyframeShow(flow, **{"engine.keyframes": 4.0})
    with run.running():
        assert wait_until(lambda: run.mode.drawn > 3)
    assert len(messages) == 1 and "'prompt'" in messages[0]


def test_a_card_draws_every_frame(flow: Engine, messages: list[str]) -> None:
    run = KeyframeShow(flow)
    run.generator.on_card = True
    with run.running():
        assert wait_until(lambda: run.mode.drawn >= 5)
    assert run.mode.keyframes == 0
    assert messages == ["engine.mode keyframes is for a CPU; this card draws every frame"]


def test_leaving_before_anything_was_heard() -> None:
    mode = KeyframeMode(ParameterStore({"engine.mode": "keyframes"}), Mailbox(), Mailbox())
    with mode:
        assert mode.line == ""
    assert wait_until(lambda: not mode._thread.is_alive())


@pytest.mark.parametrize("mode", ["frames", "keyframes"])
def test_it_waits_in_its_own_mode_alone(mode: str) -> None:
    made = KeyframeMode(ParameterStore({"engine.mode": mode, "engine.keyframes": 1.0}), Mailbox(), Mailbox())
    made._pace.drawn(10.0, 10.1)
    assert made.wait(10.2) == (pytest.approx(0.8) if mode == "keyframes" else 0.0)


def test_a_decoder_slower_than_a_frame_is_faded_between(flow: Engine, messages: list[str]) -> None:
    """Like Stable Diffusion's decoder on a CPU: five decoded images and more than ten shown images a second."""
    run, decoded = KeyframeShow(flow, **{"engine.keyframes": 2.0}), [0]
    decode = run.generator.backend.decode

    def slow(latent: Any, out: np.ndarray) -> None:
        time.sleep(0.1)
        decode(latent, out)
        decoded[0] += 1

    run.generator.backend.decode = slow  # type: ignore[method-assign]
    with run.running():
        assert wait_until(lambda: decoded[0] >= 4)
        before, drawn = decoded[0], run.mode.drawn
        assert wait_until(lambda: decoded[0] >= before + 4)
        assert run.mode.drawn - drawn >= 2 * 4
    assert messages == []


def test_a_file_is_drawn_by_one_process(turbo_folder: Path, messages: list[str]) -> None:
    """Each in-between depends on the one before: workers would each draw others."""
    chosen = {"engine.name": str(turbo_folder), "engine.accelerator": "eager", "engine.size": "64"}
    settings = load_settings({**chosen, "engine.threads": 1}, here=Path("/nowhere"))
    snapshot = ParameterStore({"engine.mode": "keyframes", "engine.keyframes": 5.0}).snapshot()
    sound = np.zeros((24_000, 2), np.float32)
    frames = [frame for _, frame in render_frames(settings, snapshot, sound, 10, workers=2)]
    assert len(frames) == 5 and all(frame is not None and frame.pixels.std() > 0 for frame in frames)
    assert any("one process" in line for line in messages)
