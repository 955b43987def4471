"""A file as a live source, without a sound device and with a fake clock."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes.waiting import wait_until

from tpos_live.audio import file_source
from tpos_live.audio.file_source import FileSource
from tpos_live.audio.portaudio import WITHOUT
from tpos_live.audio.source import RATE, AudioError, Chunk, SourceState


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """2.5 s of samples whose values are their positions."""
    path = tmp_path / "ramp.wav"
    soundfile.write(path, np.linspace(0.1, 0.9, 120_000, dtype=np.float32), RATE, "FLOAT")
    return path


def pull_for(sound: FileSource, now: float, seconds: float, step: float = 0.01) -> tuple[list[Chunk], float]:
    chunks = []
    for _ in range(round(seconds / step)):
        now += step
        deadline = time.perf_counter() + 2
        while sound._ahead.available < step * RATE * 1.1 and not sound._decoded.is_set():
            assert time.perf_counter() < deadline, "the reading thread is stuck"
            time.sleep(0.001)  # the test's clock runs faster than the disk
        chunk = sound.pull(now)
        if chunk is not None:
            chunks.append(chunk)
    return chunks, now


def test_a_muted_file_plays_at_the_pace_of_the_clock_and_ends(ramp: Path) -> None:
    with FileSource(ramp, mute=True) as sound:
        assert sound.status(0.0).state is SourceState.STARTING
        sound.pull(50.0)
        chunks, now = pull_for(sound, 50.0, 1.0)
        assert sum(len(chunk.mono) for chunk in chunks) == pytest.approx(RATE, abs=2)
        assert sound.status(now).state is SourceState.RUNNING
        assert all(chunk.real and chunk.captured_at <= now for chunk in chunks)
        rest, now = pull_for(sound, now, 2.0)
        mono = np.concatenate([chunk.mono for chunk in chunks + rest])
        assert np.allclose(mono, np.linspace(0.1, 0.9, 120_000), atol=1e-6)
        status = sound.status(now)
        assert status.state is SourceState.ENDED and status.message == "" and status.losses.total == 0
        assert sound.pull(now + 1) is None


def test_a_loop_goes_on_and_on(ramp: Path) -> None:
    with FileSource(ramp, loop=True, mute=True) as sound:
        sound.pull(0.0)
        chunks, now = pull_for(sound, 0.0, 8.0)
        mono = np.concatenate([chunk.mono for chunk in chunks])
        assert len(mono) == pytest.approx(8 * RATE, abs=2)
        assert np.allclose(mono[:120_000], mono[120_000:240_000])
        assert sound.status(now).state is SourceState.RUNNING


def test_a_loop_whose_file_is_gone_is_silent_until_it_is_back(ramp: Path) -> None:
    """As after unplugging a disk: the show continues."""
    with FileSource(ramp, loop=True, mute=True) as sound:
        sound.pull(0.0)
        _, now = pull_for(sound, 0.0, 1.0)
        away = ramp.rename(ramp.with_name("away.wav"))
        chunks, now = pull_for(sound, now, 8.0)
        status = sound.status(now)
        assert status.state is SourceState.RUNNING and "ramp.wav" in status.message and "silence" in status.message
        assert sum(len(chunk.mono) for chunk in chunks) == pytest.approx(8 * RATE, abs=2)
        assert np.concatenate([chunk.mono for chunk in chunks])[-RATE:].max() == 0.0
        away.rename(ramp)
        chunks, now = pull_for(sound, now, 6.0)
        assert sound.status(now).message == "" and np.concatenate([chunk.mono for chunk in chunks]).max() > 0.8


@pytest.mark.parametrize("loop", [True, False])
def test_a_decoder_that_fails_with_an_error_of_its_own(
    ramp: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str], loop: bool
) -> None:
    """A loop is silent until the file can be decoded again; without a loop the source ends with a message."""
    real, broken = soundfile.SoundFile.read, [False]

    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        if broken[0]:
            raise MemoryError
        return real(self, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    monkeypatch.setattr(file_source, "_AHEAD", RATE)
    with FileSource(ramp, loop=loop, mute=True) as sound:
        sound.pull(0.0)
        _, now = pull_for(sound, 0.0, 0.5)
        broken[0] = True
        _, now = pull_for(sound, now, 6.0)
        status = sound.status(now)
        assert "ramp.wav" in status.message and "MemoryError" in status.message
        assert status.state is (SourceState.RUNNING if loop else SourceState.ENDED)
        assert loop or (len(messages) == 1 and "MemoryError" in messages[0])
        broken[0] = False
        chunks, now = pull_for(sound, now, 6.0)
        if loop:
            assert sound.status(now).message == "" and np.concatenate([chunk.mono for chunk in chunks]).max() > 0.8


def test_a_puller_that_was_away_makes_the_file_late_but_loses_nothing(ramp: Path) -> None:
    with FileSource(ramp, mute=True) as sound:
        sound.pull(0.0)
        first, now = pull_for(sound, 0.0, 0.1)
        now += 30.0
        big = sound.pull(now)
        assert big is not None and len(big.mono) <= 2 * RATE
        rest, _ = pull_for(sound, now, 3.0)
        mono = np.concatenate([chunk.mono for chunk in [*first, big, *rest]])
        assert np.allclose(mono, np.linspace(0.1, 0.9, 120_000), atol=1e-6)


def test_pull_never_waits_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(5 * RATE, np.float32), RATE)
    real, slows, goes_on, read = soundfile.SoundFile.read, threading.Event(), threading.Event(), list[int]()

    def slow(self: Any, *args: Any, **kwargs: Any) -> Any:
        if slows.is_set():
            goes_on.wait(20)
            read.append(1)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "read", slow)
    with FileSource(tmp_path / "a.wav", mute=True) as sound:
        assert wait_until(lambda: sound.pull(time.perf_counter()) is not None)
        slows.set()
        end, got = time.perf_counter() + 1.0, 0
        while (now := time.perf_counter()) < end:
            chunk = sound.pull(now)
            got += 0 if chunk is None else len(chunk.mono)
            time.sleep(0.01)
        assert not read, "it waited for the disk"
        goes_on.set()
    assert got <= 1.1 * RATE


def test_leaving_is_quick_while_the_reader_waits(ramp: Path) -> None:
    sound = FileSource(ramp, loop=True, mute=True)
    with sound:
        time.sleep(0.1)
        began = time.perf_counter()
    assert time.perf_counter() - began < 0.3
    assert not sound._reader.is_alive()


@pytest.mark.parametrize("cause", ["no PortAudio", "no output", "no devices"])
def test_without_an_output_it_plays_unheard_and_says_so(
    ramp: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    if cause == "no PortAudio":
        monkeypatch.setitem(sys.modules, "sounddevice", None)  # importing it raises ImportError
    else:
        sd = pytest.importorskip("sounddevice")

        def refuse(*args: object, **more: object) -> None:
            raise sd.PortAudioError("Error querying device -1")

        monkeypatch.setattr(sd, "OutputStream", refuse)
        monkeypatch.setattr(
            sd, "query_devices", refuse if cause == "no devices" else lambda: [{"max_output_channels": 0}]
        )
    with FileSource(ramp) as sound:
        sound.pull(0.0)
        chunks, now = pull_for(sound, 0.0, 1.0)
        assert sum(len(chunk.mono) for chunk in chunks) == pytest.approx(RATE, abs=2)
        message = sound.status(now).message
        assert '"ramp.wav" plays unheard' in message and "\n" not in message
        endings = {
            "no PortAudio": WITHOUT,
            "no output": "unheard: this machine has no sound output",
            "no devices": "unheard: no sound output (Error querying device -1)",
        }
        assert message.endswith(endings[cause])


class FakeOutput:
    """An output whose callback is called by the test."""

    latency = 0.06

    def __init__(self, fill: Any, device: Any = None) -> None:
        self.fill, self.opened_at, self.asked_at, self.finished, self.closed = fill, 0.0, None, False, False

    def ask(self, frames: int, now: float) -> np.ndarray:
        out = np.full((frames, 2), 9, np.float32)
        self.fill(out)
        self.asked_at = now
        return out

    def close(self) -> None:
        self.closed = True


def test_what_is_played_is_what_is_analysed_and_a_stalled_output_hands_over(
    ramp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_source, "Playback", FakeOutput)
    with FileSource(ramp) as sound:
        output = sound._output
        assert isinstance(output, FakeOutput)
        time.sleep(0.05)
        heard, played, now = [], [], 10.0
        for count in (480, 333, 1024, 5000, 960, 480):
            now += 0.01
            played.append(output.ask(count, now)[:, 0])
            chunk = sound.pull(now)
            assert chunk is not None and chunk.captured_at == now
            heard.append(chunk.mono)
        assert np.array_equal(np.concatenate(played), np.concatenate(heard))
        assert sound.passed == -0.06
        assert sound.pull(now + 0.4) is None and sound.status(now).message == ""
        assert sound.pull(now + 0.6) is None  # the clock takes over from here
        assert "plays on unheard" in sound.status(now).message
        assert not output.ask(480, now).any(), "an output that comes back late must not take sound away"
        rest, now = pull_for(sound, now + 0.6, 3.0)
        mono = np.concatenate(heard + [chunk.mono for chunk in rest])
        assert np.allclose(mono, np.linspace(0.1, 0.9, 120_000), atol=1e-6)
        assert sound.status(now).state is SourceState.ENDED


def test_an_output_may_take_its_time_at_the_start(ramp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PulseAudio requests a first block at once, and the next one only 1 to 2 s later."""
    monkeypatch.setattr(file_source, "Playback", FakeOutput)
    with FileSource(ramp) as sound:
        output = sound._output
        assert isinstance(output, FakeOutput)
        output.ask(480, 0.0)
        assert sound.pull(0.01) is not None
        assert sound.pull(4.9) is None and sound.status(4.9).message == ""
        sound.pull(5.1)
        assert "plays on unheard" in sound.status(5.1).message


def test_asking_a_file_for_another_input_says_why_not(ramp: Path) -> None:
    with FileSource(ramp, mute=True) as sound:
        sound.reopen("desk")
        assert "--device" in sound.status(time.perf_counter()).message
        assert sound.status(time.perf_counter() + 11).message == ""


@pytest.mark.parametrize("content", [None, b"", b"not sound at all" * 50])
def test_a_bad_file_is_refused_when_entered(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError), FileSource(path):
        pass
