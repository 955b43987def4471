"""The whole path from a PulseAudio null sink through PortAudio, with real faults."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes.fake_mic import FakeMicrophone, fake_microphone, require_fake_microphone, sine
from fakes.own_process import in_own_process

from tpos_live.audio.devices import find_input, list_devices
from tpos_live.audio.file_source import FileSource
from tpos_live.audio.microphone import Microphone
from tpos_live.audio.source import RATE, AudioError, AudioSource, Chunk, SourceState, SourceStatus

# PortAudio cannot be ended while a driver hangs in it: it aborts the process.
pytestmark = [pytest.mark.audio, pytest.mark.own_process]
FIRST_BLOCK = 6.0
"""Seconds within which PulseAudio delivers the first block (0.1 s measured on an idle machine)."""


@pytest.fixture
def mic() -> Iterator[FakeMicrophone | None]:
    require_fake_microphone()
    if not in_own_process():
        yield None
        return
    with fake_microphone() as microphone:
        yield microphone


class ChunkCollector:
    """Pulls every 10 ms, as the analysis does, and records chunks and states."""

    def __init__(self, sound: AudioSource) -> None:
        self.sound = sound
        self.chunks: list[Chunk] = []
        self.states: list[SourceState] = []
        self.messages: set[str] = set()
        self.at = 0.0
        """Time of the last pull."""

    def listen(self, seconds: float, until: Callable[[SourceStatus], bool] = lambda status: False) -> bool:
        """Run for `seconds`, or until the status is the wanted one (then True). Fails if the sound lags the clock."""
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end:
            status = self.sound.status(now)  # before it pulls: what is put in for a stall has come when one is told
            chunk, self.at = self.sound.pull(now), now
            if chunk is not None:
                self.chunks.append(chunk)
            if status.state not in self.states[-1:]:
                self.states.append(status.state)
            self.messages.add(status.message)
            if until(status):
                return True
            time.sleep(0.01)
        return False

    def pace(self, seconds: float) -> float:
        """Samples given over those that the clock asks for, in the next `seconds`; from one pull to another, for a busy
        machine may come to them late."""
        before, began = len(self.chunks), self.at
        self.listen(seconds)
        took = self.at - began
        return sum(len(chunk.mono) for chunk in self.chunks[before:]) / (took * RATE)

    def hears_the_sine(self, patience: float) -> bool:
        """Whether half a second of the clean sine comes within so many seconds (a busy machine may tear
        what the player sends)."""
        for _ in range(round(2 * patience)):
            self.listen(0.5)
            if is_the_sine(self.heard(0.5)):
                return True
        return False

    def heard(self, seconds: float) -> np.ndarray:
        """The newest samples from the device."""
        return np.concatenate([chunk.mono for chunk in self.chunks if chunk.real])[-round(seconds * RATE) :]


def running(status: SourceStatus) -> bool:
    return status.state is SourceState.RUNNING


def in_trouble(status: SourceStatus) -> bool:
    return status.state in (SourceState.STALLED, SourceState.REOPENING)


def is_the_sine(sound: np.ndarray, frequency: float = 440, amplitude: float = 0.5) -> bool:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    peak = spectrum.argmax() * RATE / len(sound)
    return abs(peak - frequency) <= 2 and abs(sound.std() - amplitude / np.sqrt(2)) < 0.02


def closes_quickly(sound: AudioSource) -> bool:
    began = time.perf_counter()
    sound.__exit__(None, None, None)
    return time.perf_counter() - began < 0.5


@pytest.mark.parametrize("rate", [None, 44_100, 96_000])
def test_a_sine_in_the_room_arrives_with_its_level_and_pitch(mic: FakeMicrophone, rate: float | None) -> None:
    mic.play(sine(440, 20))
    sound = Microphone(mic.device, rate=rate)
    sound.__enter__()
    collector = ChunkCollector(sound)
    assert collector.listen(FIRST_BLOCK, running)
    collector.listen(1.0)
    assert collector.hears_the_sine(8)
    status = sound.status(time.perf_counter())
    assert status.name == mic.device and status.message == ""
    assert status.losses.total == 0
    ages = [time.perf_counter() - chunk.captured_at for chunk in collector.chunks[-1:]]
    assert max(ages) < 0.1
    assert closes_quickly(sound)


def test_a_stalled_microphone_becomes_silence_and_comes_back(mic: FakeMicrophone) -> None:
    """A suspended source: no callback, flag or error, and PortAudio reports the stream as active."""
    mic.play(sine(440, 60))
    with Microphone(mic.device) as sound:
        collector = ChunkCollector(sound)
        assert collector.listen(FIRST_BLOCK, running)
        mic.suspend()
        assert collector.listen(1.5, in_trouble)
        assert collector.pace(2.0) == pytest.approx(1, abs=0.05)
        assert not any(chunk.real or chunk.mono.any() for chunk in collector.chunks[-20:])
        # under load PortAudio sometimes ends the suspended stream, which looks like an unplugged one
        assert any(text.startswith(f'microphone "{mic.device}" ') for text in collector.messages)
        assert all(text.endswith("; waiting for it") for text in collector.messages if text)
        mic.resume()
        assert collector.listen(FIRST_BLOCK + 5, running)
        assert collector.hears_the_sine(8) and collector.chunks[-1].real
        assert SourceState.STALLED in collector.states
        assert sound.status(time.perf_counter()).message == ""


def test_a_short_stall_gives_no_more_silence_than_it_lasted(mic: FakeMicrophone) -> None:
    """A former fault: 0.8 s without a block gave 2.8 s of silence, because reopening takes PulseAudio 2 s."""
    mic.play(sine(440, 60))
    with Microphone(mic.device) as sound:
        collector = ChunkCollector(sound)
        assert collector.listen(FIRST_BLOCK, running) and collector.hears_the_sine(8)
        capture, before, began = sound._supervisor.capture, len(collector.chunks), time.perf_counter()
        mic.suspend()
        collector.listen(0.8)
        mic.resume()
        lasted = time.perf_counter() - began
        assert collector.hears_the_sine(4)
        put_in = sum(len(chunk.mono) for chunk in collector.chunks[before:] if not chunk.real) / RATE
        assert put_in < lasted + 0.8, "on a busy machine; as long as it lasted on an idle one"
        assert sound._supervisor.capture is capture, "the stream was kept"


@pytest.mark.parametrize("with_file", [False, True])
def test_a_lost_microphone_is_replaced_and_given_back(
    mic: FakeMicrophone, tmp_path: Path, with_file: bool, messages: list[str]
) -> None:
    mic.add_backup()
    soundfile.write(tmp_path / "spare.wav", sine(880, 2), RATE, "FLOAT")
    fallback = str(tmp_path / "spare.wav") if with_file else mic.backup
    with Microphone(mic.device, fallback=fallback) as sound:
        collector = ChunkCollector(sound)
        assert collector.listen(FIRST_BLOCK, running)
        mic.unplug()
        lost = time.perf_counter()
        name = Path(fallback).name
        assert collector.listen(FIRST_BLOCK, lambda status: status.name == name and collector.chunks[-1].real)
        assert time.perf_counter() - lost < 4.5, "3 s on an idle machine"
        assert f'"{name}" is heard until it returns' in sound.status(time.perf_counter()).message
        before = len(collector.chunks)
        collector.listen(1.5)
        assert all(chunk.real for chunk in collector.chunks[before:]), "attempts to open the first do not disturb it"
        if with_file:
            assert is_the_sine(collector.heard(0.5), 880)
        mic.replug()
        mic.play(sine(440, 30))
        assert collector.listen(FIRST_BLOCK + 8, lambda status: running(status) and status.name == mic.device)
        assert collector.hears_the_sine(8) and collector.chunks[-1].real
        assert f'microphone "{mic.device}" is back' in messages


def test_unplugging_prints_nothing_of_the_libraries_and_hides_nothing_else(mic: FakeMicrophone) -> None:
    code = f"""
import ctypes, os, subprocess, sys, time
from tpos_live.audio.microphone import Microphone
libc = ctypes.CDLL(None)
stderr = ctypes.c_void_p.in_dll(libc, "stderr").value
with Microphone({mic.device!r}) as sound:
    end, heard = time.perf_counter() + {FIRST_BLOCK}, False
    while time.perf_counter() < end and not heard:
        chunk = sound.pull(time.perf_counter())
        heard = chunk is not None and chunk.real
        time.sleep(0.01)
    subprocess.run(["pactl", "list", "short", "modules"], check=True, stdout=subprocess.DEVNULL)
    print("unplugging", flush=True)
    sys.stdin.readline()
    for _ in range(150):
        sound.pull(time.perf_counter())
        time.sleep(0.01)
    libc.fprintf(ctypes.c_void_p.in_dll(libc, "stderr"), b"a word from another library\\n")
    sys.stderr.write("ours\\n")
    subprocess.run(["sh", "-c", "echo a child >&2"])
    time.sleep(0.2)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "unplugging\n"
    mic.unplug()
    _, printed = process.communicate("go\n", timeout=30)
    assert sorted(printed.splitlines()) == ["a child", "a word from another library", "ours"]
    assert process.returncode == 0


def test_an_unplugged_microphone_is_waited_for_and_opened_again(mic: FakeMicrophone) -> None:
    with Microphone(mic.device) as sound:
        collector = ChunkCollector(sound)
        assert collector.listen(FIRST_BLOCK, running)
        mic.unplug()
        assert collector.listen(1.5, in_trouble)
        assert collector.pace(2.0) == pytest.approx(1, abs=0.05)
        assert f'microphone "{mic.device}" is gone; waiting for it' in collector.messages
        mic.replug()
        mic.play(sine(440, 30))
        assert collector.listen(FIRST_BLOCK + 6, running)
        assert collector.hears_the_sine(8) and collector.chunks[-1].real


def test_a_sound_server_that_is_killed_and_started_again(mic: FakeMicrophone) -> None:
    """It comes back each time, although PortAudio's connection has ended with the server."""
    with Microphone(mic.device) as sound:
        collector = ChunkCollector(sound)
        assert collector.listen(FIRST_BLOCK, running)
        for _ in range(3):
            mic.kill_server()
            assert collector.listen(3.0, in_trouble)
            mic.quiet()
            mic.serve()
            mic.play(sine(440, 30))
            assert collector.listen(FIRST_BLOCK + 6, running)
            assert collector.hears_the_sine(8) and collector.chunks[-1].real


@pytest.mark.filterwarnings("ignore:Exception ignored from cffi callback")
def test_a_stream_whose_callback_fails_is_opened_again(mic: FakeMicrophone) -> None:
    """An exception in the callback ends the stream."""

    def broken(*args: object) -> None:
        raise RuntimeError("as a driver's bug would")

    with Microphone(mic.device) as sound:
        collector = ChunkCollector(sound)
        assert collector.listen(FIRST_BLOCK, running)
        capture = sound._supervisor.capture
        assert capture is not None
        capture.deliver = broken  # type: ignore[method-assign]
        assert collector.listen(1.5, in_trouble)
        assert collector.listen(FIRST_BLOCK, running)
        assert sound._supervisor.capture is not capture


@pytest.mark.parametrize("trouble", ["suspend", "unplug", "kill_server"])
def test_closing_is_quick_in_any_trouble(mic: FakeMicrophone, trouble: str) -> None:
    sound = Microphone(mic.device)
    sound.__enter__()
    collector = ChunkCollector(sound)
    assert collector.listen(FIRST_BLOCK, running)
    getattr(mic, trouble)()
    collector.listen(0.8)
    assert closes_quickly(sound)


def test_changing_the_microphone_during_the_show(mic: FakeMicrophone) -> None:
    mic.play(sine(440, 30))
    with Microphone(mic.device) as sound:
        collector = ChunkCollector(sound)
        assert collector.listen(FIRST_BLOCK, running)
        sound.reopen(mic.other)
        assert collector.listen(FIRST_BLOCK, lambda status: running(status) and status.name == mic.other)
        sound.reopen("theremin")
        assert collector.listen(FIRST_BLOCK, lambda status: "theremin" in status.message and running(status))
        assert sound.status(time.perf_counter()).name == mic.other


def test_channels_that_the_device_lacks_are_refused(mic: FakeMicrophone) -> None:
    with pytest.raises(AudioError, match="not 99"):
        Microphone(mic.device, channels=(99,)).__enter__()


def test_a_device_with_no_source_behind_it_is_refused_in_one_line(mic: FakeMicrophone) -> None:
    mic.unplug()
    with pytest.raises(AudioError, match=r"cannot be opened.*devices") as caught:
        Microphone(mic.device).__enter__()
    assert "\n" not in str(caught.value)


def test_the_devices_are_listed(mic: FakeMicrophone) -> None:
    assert {mic.device, mic.speaker} <= {device.name for device in list_devices()}
    assert find_input("TPOS mic").name == mic.device
    with pytest.raises(AudioError, match=f"{mic.device}.*{mic.speaker}"):
        find_input("tpos")


def test_a_file_is_heard_and_what_is_heard_is_analysed(mic: FakeMicrophone, tmp_path: Path) -> None:
    """The fake microphone records the fake speaker that plays the file."""
    seconds = 15
    soundfile.write(tmp_path / "a.wav", sine(880, seconds, rate=44_100), 44_100, "FLOAT")
    with Microphone(mic.device) as ears, FileSource(tmp_path / "a.wav", output=mic.speaker) as sound:
        room, played = ChunkCollector(ears), ChunkCollector(sound)
        end, heard = time.perf_counter() + 10, False
        while time.perf_counter() < end and not heard:
            room.listen(0.001)
            played.listen(0.001)
            real = sum(len(chunk.mono) for chunk in room.chunks if chunk.real) > RATE
            heard = real and is_the_sine(room.heard(0.5), 880) and is_the_sine(played.heard(0.5), 880)
        status = sound.status(time.perf_counter())
        assert heard, (status, ears.status(time.perf_counter()))
        assert running(status) and status.message == "" and sound.passed < 0
        mic.unplug()
        assert played.listen(4, lambda status: "plays on unheard" in status.message)
        assert played.listen(seconds, lambda status: status.state is SourceState.ENDED)
    whole = np.concatenate([chunk.mono for chunk in played.chunks])
    assert len(whole) == pytest.approx(seconds * RATE, abs=10)
    wanted = 0.5 * np.sin(2 * np.pi * 880 * np.arange(len(whole)) / RATE)
    assert np.abs(whole - wanted)[100:-100].max() < 0.05


def test_without_any_sound_server_the_message_says_what_still_works(tmp_path: Path) -> None:
    require_fake_microphone()
    code = "from tpos_live.audio.microphone import Microphone\nwith Microphone('mic'): pass"
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environ, cwd=Path.cwd()
    )
    last = result.stderr.strip().splitlines()[-1]
    if result.returncode == 0:
        pytest.skip("this machine has a real input")
    assert last.startswith("tpos_live.audio.source.AudioError: ")
    assert "demo" in last or "devices" in last
