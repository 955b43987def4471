"""Microphone with a fake device and a fake clock."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from fakes.waiting import wait_until

from tpos_live.audio import microphone
from tpos_live.audio.capture import Capture
from tpos_live.audio.microphone import Microphone
from tpos_live.audio.source import RATE, Chunk, SourceState
from tpos_live.core.heap import give_back_later


class Stage:
    """A microphone with a fake device and clock: blocks of 10 ms, pulled every 10 ms."""

    def __init__(self, rate: float = RATE, channels: int = 2) -> None:
        self.microphone = Microphone("desk")
        self.rate, self.channels = rate, channels
        self.now = 1000.0
        self.chunks: list[Chunk] = []
        self.phase = 0
        self.plug()

    def plug(self) -> None:
        supervisor = self.microphone._supervisor
        picked = tuple(range(self.channels))
        self.device = Capture("desk", "desk, fake", self.rate, picked, self.now)
        supervisor.capture, supervisor.state = self.device, SourceState.RUNNING

    def unplug(self) -> None:
        self.microphone._supervisor.capture = None
        self.microphone._supervisor.state = SourceState.REOPENING

    def block(self, amplitude: float) -> np.ndarray:
        count = round(self.rate / 100)
        time = (self.phase + np.arange(count)) / self.rate
        self.phase += count
        wave = (amplitude * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
        return np.repeat(wave[:, None], self.channels, axis=1)

    def run(self, seconds: float, amplitude: float | None = 0.5) -> list[Chunk]:
        """Let time pass. amplitude None: the device delivers no blocks."""
        got = []
        for _ in range(round(seconds * 100)):
            self.now += 0.01
            if amplitude is not None:
                self.device.deliver(self.block(amplitude), self.now, overflow=False)
            chunk = self.microphone.pull(self.now)
            if chunk is not None:
                got.append(chunk)
        self.chunks += got
        return got

    def samples(self) -> int:
        return sum(len(chunk.mono) for chunk in self.chunks)

    def status(self):  # type: ignore[no-untyped-def]
        return self.microphone.status(self.now)


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_sound_arrives_at_the_analysis_rate(rate: int) -> None:
    stage = Stage(rate)
    chunks = stage.run(3)
    mono = np.concatenate([chunk.mono for chunk in chunks])
    assert all(chunk.real and chunk.mono.dtype == np.float32 for chunk in chunks)
    assert all(chunk.stereo.shape == (len(chunk.mono), 2) for chunk in chunks)
    assert len(mono) == pytest.approx(3 * RATE, abs=0.003 * RATE)
    assert mono[RATE : 2 * RATE].std() == pytest.approx(0.3536, abs=0.001)
    assert np.abs(np.fft.rfft(mono[RATE : 2 * RATE])).argmax() == 440
    assert chunks[-1].captured_at == stage.now
    assert stage.status().losses.total == 0


def test_a_stall_becomes_silence_at_the_pace_of_the_clock_and_back() -> None:
    stage = Stage()
    stage.run(5)
    assert stage.run(0.49, None) == []
    stalled = stage.run(9.51, None)
    assert stalled and not any(chunk.real or chunk.mono.any() or chunk.stereo.any() for chunk in stalled)
    assert max(len(chunk.mono) for chunk in stalled[1:]) <= 0.011 * RATE
    assert stage.run(5)[-1].real
    assert stage.samples() == pytest.approx(20 * RATE, abs=2 * 480)
    assert stage.status().losses.dropouts == pytest.approx(10 * RATE, abs=2 * 480)


def test_an_unplugged_device_is_silence_and_a_new_one_goes_on_without_double_counting() -> None:
    stage = Stage()
    stage.run(5)
    stage.unplug()
    assert all(not chunk.real for chunk in stage.run(3, None))
    stage.rate = 44_100
    stage.plug()
    assert stage.run(5)[-1].real
    assert stage.samples() == pytest.approx(13 * RATE, abs=3 * 480)
    losses = stage.status().losses
    assert losses.dropouts == pytest.approx(3 * RATE, abs=2 * 480)
    assert losses.total == losses.dropouts


def test_silence_keeps_the_pace_before_the_first_block_and_is_no_loss() -> None:
    stage = Stage()
    stage.run(2, None)
    assert stage.samples() == pytest.approx(2 * RATE, abs=2 * 480)
    stage.run(1)
    assert stage.status().losses.total == 0


def test_a_reader_that_was_away_gets_what_the_ring_held_and_the_rest_is_counted() -> None:
    stage = Stage()
    stage.run(1)
    for _ in range(500):
        stage.now += 0.01
        stage.device.deliver(stage.block(0.5), stage.now, overflow=False)
    before = stage.samples()
    stage.run(0.01)
    assert stage.samples() - before == 2 * RATE
    assert stage.status().losses.overwritten == 501 * 480 - 2 * RATE


def test_flagged_overflows_are_counted() -> None:
    stage = Stage()
    stage.run(1)
    stage.device.deliver(stage.block(0.5), stage.now, overflow=True)
    assert stage.status().losses.flagged == 480


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_what_no_microphone_can_hear_becomes_zero_and_is_counted(bad: float) -> None:
    stage = Stage(44_100)
    stage.run(1)
    block = stage.block(0.5)
    block[10:13] = bad
    stage.device.deliver(block, stage.now, overflow=False)
    for chunk in stage.run(1):
        assert np.isfinite(chunk.stereo).all() and np.abs(chunk.stereo).max() < 1
    assert stage.status().losses.invalid == 3


@pytest.mark.parametrize(("platform", "remedy"), [("linux", "devices"), ("darwin", "Privacy"), ("win32", "Privacy")])
def test_three_seconds_of_nothing_bring_a_message_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, platform: str, remedy: str
) -> None:
    monkeypatch.setattr("tpos_live.audio.microphone.sys.platform", platform)
    stage = Stage()
    stage.run(1)
    stage.run(2.9, 0.0)
    assert stage.status().message == ""
    stage.run(0.2, 0.00009)
    status = stage.status()
    assert '"desk"' in status.message and remedy in status.message and "\n" not in status.message
    stage.run(0.1, 0.0002)
    assert stage.status().message == ""


def test_a_phase_inverted_pair_is_still_sound() -> None:
    stage = Stage()
    for _ in range(400):
        stage.now += 0.01
        block = stage.block(0.5)
        block[:, 1] *= -1
        stage.device.deliver(block, stage.now, overflow=False)
        stage.microphone.pull(stage.now)
    assert stage.status().message == ""


def test_an_input_that_another_one_replaces_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its buffer of two seconds, although a PortAudio stream is in a reference cycle."""
    monkeypatch.setattr(microphone, "give_back_later", lambda: give_back_later(0.0))
    stage = Stage()
    stage.run(0.1)
    gc.disable()  # as in a show, which makes too few objects for Python to search, and leaves out what is loaded
    gc.freeze()
    try:
        stage.plug()
        stage.device.itself = stage.device  # type: ignore[attr-defined]
        before = weakref.ref(stage.device)
        stage.run(0.1)
        stage.unplug()
        stage.run(0.1, None)
        stage.plug()
        stage.run(0.1)
        assert wait_until(lambda: before() is None)
    finally:
        gc.unfreeze()
        gc.enable()
