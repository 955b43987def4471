"""Recordings of a show: losses are shown until they are acknowledged, and no existing file is changed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from fakes.forked import run, start
from fakes.full_disk import full_disk
from fakes.waiting import wait_until

from tpos_live.core.messages import terminal_messages
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import RecordSettings
from tpos_live.display import disk_watch
from tpos_live.display.errors import DisplayError
from tpos_live.runtime.recordings import Recordings, check_recording
from tpos_live.runtime.session_controls import SessionControls
from tpos_live.runtime.status_registry import StatusRegistry


class Stage:
    """A display that shows nothing."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []
        self.size = (64, 64)

    def read_back(self) -> np.ndarray:
        return np.zeros((64, 64, 3), np.uint8)

    def close_soon(self) -> None: ...

    def next_screen(self) -> int:
        return 0


class Disk:
    """Free bytes by folder."""

    def __init__(self, **free: float) -> None:
        self.free = free

    def __call__(self, folder: Path) -> Any:
        return SimpleNamespace(free=self.free[folder.name])


def record_in_two_folders(tmp_path: Path, disk: Disk) -> tuple[Recordings, Stage]:
    """A recording of 1.5 s in `first`."""
    for name in disk.free:
        (tmp_path / name).mkdir()
    recordings, stage = (
        Recordings(str(tmp_path / "first" / "a.mp4"), spare=str(tmp_path / "spare"), usage=disk),
        Stage(),
    )
    assert recordings.begin((64, 64), stage.outputs)
    feed(recordings, stage, 1.5)
    return recordings, stage


def feed(recordings: Recordings, stage: Stage, seconds: float) -> None:
    """Feed `seconds` of frames and sound, in real time."""
    begin = time.perf_counter()
    for k in range(round(seconds * 30)):
        time.sleep(max(begin + k / 30 - time.perf_counter(), 0))
        for output in stage.outputs:
            output.send(np.full((64, 64, 3), k, np.uint8), begin + k / 30)
        recordings.add_audio(SimpleNamespace(stereo=np.zeros((1600, 2), np.float32), captured_at=begin + (k + 1) / 30))  # type: ignore[arg-type]


def update_until(recordings: Recordings, stage: Stage, done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        recordings.update((64, 64), stage.outputs)
        feed(recordings, stage, 0.1)


def length(path: Path) -> float:
    with av.open(str(path)) as file:
        return (file.duration or 0) / 1e6


def test_a_recording_goes_on_elsewhere_before_its_disk_is_full(tmp_path: Path, messages: list[str]) -> None:
    disk = Disk(first=9e9, spare=2e9)
    recordings, stage = record_in_two_folders(tmp_path, disk)
    assert recordings.update((64, 64), stage.outputs) and len(stage.outputs) == 1
    disk.free["first"] = 0.2e9
    update_until(recordings, stage, lambda: "spare" in recordings.fields()["recording"])
    feed(recordings, stage, 1.0)
    recordings.close(stage.outputs)
    assert length(tmp_path / "first" / "a.mp4") > 1.4 and length(tmp_path / "spare" / "a.mp4") > 0.9
    assert recordings.failures == [] and any("goes on in" in line for line in messages)


def test_a_recording_whose_folder_is_removed_goes_on_elsewhere(tmp_path: Path) -> None:
    recordings, stage = record_in_two_folders(tmp_path, Disk(first=9e9, spare=2e9))
    shutil.rmtree(tmp_path / "first")
    update_until(recordings, stage, lambda: "spare" in recordings.fields()["recording"])
    feed(recordings, stage, 1.0)
    recordings.close(stage.outputs)
    assert length(tmp_path / "spare" / "a.mp4") > 0.9
    assert len(recordings.failures) == 1 and "is gone" in recordings.failures[0], "and what is lost is said"


def test_without_another_folder_it_writes_to_the_end(tmp_path: Path) -> None:
    disk = Disk(first=9e9, spare=0.5e9)
    recordings, stage = record_in_two_folders(tmp_path, disk)
    disk.free["first"] = 0.2e9
    recorder = recordings._recorder
    assert recorder is not None
    update_until(recordings, stage, lambda: recorder.disk.full and recordings._search is not None)
    update_until(recordings, stage, lambda: not recordings._search.searching)  # type: ignore[union-attr]
    assert recordings.update((64, 64), stage.outputs) and recordings._recorder is recorder
    full_disk(recorder._writer)  # type: ignore[arg-type]
    update_until(recordings, stage, lambda: not recordings.running)
    assert not stage.outputs and "No space left" in recordings.lost


def test_a_spare_folder_that_gets_room_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_watch, "AGAIN", 0.2)
    disk = Disk(first=9e9, spare=0.5e9)
    recordings, stage = record_in_two_folders(tmp_path, disk)
    disk.free["first"] = 0.2e9
    update_until(recordings, stage, lambda: recordings._search is not None and not recordings._search.searching)
    assert recordings.update((64, 64), stage.outputs) and "first" in recordings.fields()["recording"]
    disk.free["spare"] = 2e9
    update_until(recordings, stage, lambda: "spare" in recordings.fields()["recording"])
    recordings.close(stage.outputs)
    assert recordings.failures == []


def test_a_folder_that_was_found_long_ago_is_not_trusted(tmp_path: Path) -> None:
    answers = threading.Event()

    class SlowDisk(Disk):
        def __call__(self, folder: Path) -> Any:
            assert folder.name == "first" or answers.wait(20.0)
            return super().__call__(folder)

    disk = SlowDisk(first=0.5e9, spare=2e9)
    recordings, stage = record_in_two_folders(tmp_path, disk)
    recorder = recordings._recorder
    assert recorder is not None
    recorder.disk.full = True
    recordings.update((64, 64), stage.outputs)
    recorder.disk.full = False  # the performer has made room
    search = recordings._search
    answers.set()
    assert search is not None and wait_until(lambda: not search.searching) and search.found
    recordings.update((64, 64), stage.outputs)
    shutil.rmtree(tmp_path / "spare")
    disk.free["first"], recorder.disk.full = 0.2e9, True
    update_until(recordings, stage, lambda: recordings._search is not None and not recordings._search.searching)
    assert recordings.update((64, 64), stage.outputs) and recordings._recorder is recorder, "it goes on where it is"
    recordings.close(stage.outputs)


def test_a_folder_that_answers_with_an_error_ends_no_show(tmp_path: Path) -> None:
    stage = Stage()
    long = str(tmp_path / ("x" * 300))  # the system says that this is too long
    recordings = Recordings(folder=long, spare=long)
    assert not recordings.begin((64, 64), stage.outputs) and not stage.outputs and "does not exist" in recordings.lost
    with pytest.raises(DisplayError, match="cannot record"):
        check_recording(RecordSettings(file=f"{'x' * 300}/a.mp4"))


def test_a_recording_whose_folder_is_gone_begins_in_the_spare_one(tmp_path: Path, messages: list[str]) -> None:
    (tmp_path / "spare").mkdir()
    recordings, stage = Recordings(str(tmp_path / "first" / "a.mp4"), spare=str(tmp_path / "spare")), Stage()
    assert recordings.begin((64, 64), stage.outputs)
    feed(recordings, stage, 0.5)
    recordings.close(stage.outputs)
    assert length(tmp_path / "spare" / "a.mp4") > 0.3 and not recordings.failures
    assert [line for line in messages if "first does not exist" in line and f"recording in {tmp_path}/spare" in line]


def desk_of(folder: Path, **more: Any) -> tuple[SessionControls, Stage, ParameterStore, StatusRegistry]:
    store, now = ParameterStore(), [100.0]
    status_registry = StatusRegistry(store, clock=lambda: now.__setitem__(0, now[0] + 5.0) or now[0])  # 5 s a look
    desk = SessionControls(store, SimpleNamespace(), RecordSettings(folder=str(folder), **more))  # type: ignore[arg-type]
    status_registry.add_provider(desk.recordings.fields)
    return desk, Stage(), store, status_registry


def play(desk: SessionControls, display: Stage, frames: int = 15) -> None:
    """Run a show for half a second."""
    begin = time.perf_counter()
    for k in range(frames):
        desk.update(display)
        for output in display.outputs:
            output.send(np.full((64, 64, 3), 8 * k, np.uint8), begin + k / 30)
        stereo, heard_at = np.zeros((1600, 2), np.float32), begin + (k + 1) / 30
        desk.recordings.add_audio(SimpleNamespace(stereo=stereo, captured_at=heard_at))  # type: ignore[arg-type]


def test_two_recordings_of_one_second_are_two_files(tmp_path: Path, messages: list[str]) -> None:
    desk, display, store, _board = desk_of(tmp_path, file=str(tmp_path / "a.mp4"))
    (tmp_path / "a.mp4").write_text("good")
    play(desk, display)
    for _ in range(2):
        store.set("out.record", False)
        desk.update(display)
        store.set("out.record", True)
        play(desk, display)
    desk.close(display)
    files = sorted(tmp_path.glob("*.mp4"))
    assert len(files) == 4 and (tmp_path / "a.mp4").read_text() == "good" and tmp_path / "a-2.mp4" in files
    for path in set(files) - {tmp_path / "a.mp4"}:
        with av.open(str(path)) as file:
            assert file.duration == pytest.approx(500_000, abs=100_000)
    assert len([line for line in messages if line.startswith("recorded ")]) == 3
    assert desk.recordings.failures == []


def test_a_loss_is_said_until_the_next_recording_or_until_it_was_seen(tmp_path: Path) -> None:
    desk, display, store, status_registry = desk_of(
        tmp_path, file=str(tmp_path / "gone" / "a.mp4"), spare=str(tmp_path / "gone")
    )
    printed: list[str] = []
    with terminal_messages(write=printed.append), status_registry:
        desk.update(display)
        assert not store.snapshot()["out.record"] and not display.outputs
        for _ in range(10):  # 50 s, on the registry's clock
            status = status_registry.status()
            assert "gone" in status.record_error and status.message == status.record_error
    assert len([line for line in printed if "gone" in line]) == 1

    store.trigger("out.acknowledge")
    desk.update(display)
    status_registry.status()
    assert status_registry.status().record_error == "" and status_registry.status().message == ""

    desk.recordings.lost = "recording lost: the disk was full"
    store.set("out.record", True)
    play(desk, display)
    assert status_registry.status().record_error == "" and status_registry.status().recording
    desk.close(display)
    assert len(desk.recordings.failures) == 1, "and is told again at the end"


def test_the_figures_of_a_recording_are_in_the_status(tmp_path: Path) -> None:
    desk, display, store, status_registry = desk_of(tmp_path)
    store.set("out.record", True)
    end = time.monotonic() + 20
    while time.monotonic() < end and not (
        status_registry.status().record_minutes_left and status_registry.status().record_fps
    ):
        play(desk, display, 30)
        time.sleep(0.1)
    status = status_registry.status()
    assert status.record_seconds > 1 and status.record_minutes_left > 0 and status.record_fps > 0
    assert 0 <= status.record_lag_ms < 20_000 and status.recording.endswith(".mp4")
    desk.close(display)
    assert status_registry.status().record_seconds == 0 and status_registry.status().recording == ""


def test_a_recording_without_sound_is_a_loss_but_a_key_pressed_twice_is_not(tmp_path: Path) -> None:
    desk, display, store, _board = desk_of(tmp_path)
    store.set("out.record", True)
    desk.update(display)
    desk.recordings._began -= 60
    store.set("out.record", False)
    desk.update(display)
    store.set("out.record", True)
    desk.update(display)
    desk.close(display)
    assert len(desk.recordings.failures) == 1 and "no frame with audio" in desk.recordings.failures[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (RecordSettings(file="."), "folder"),
        (RecordSettings(file="no/a.mp4"), "does not exist"),
        (RecordSettings(file="a.avi"), ".avi"),
        (RecordSettings(file="song.mp4"), "is the file that is read"),
        (RecordSettings(folder="no"), "does not exist"),
        (RecordSettings(spare="no"), "does not exist"),
    ],
)
def test_what_cannot_be_recorded_is_said_before_the_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: RecordSettings, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "song.mp4").write_text("x")
    with pytest.raises(DisplayError, match="cannot record") as caught:
        check_recording(record, "song.mp4")
    assert word in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["song.mp4"]
    check_recording(RecordSettings(file="a.mp4"), "song.mp4")


SMALL = ("--headless", "--osc-port", "0", "--no-web", "--size", "64", "--accelerator", "eager", "--threads", "1")
"""Options of a show that takes little."""


@pytest.mark.slow
def test_a_start_that_fails_keeps_the_file_of_last_night(tmp_path: Path) -> None:
    (tmp_path / "tonight.mp4").write_text("good")
    for arguments, word in ((["--device", "nosuchmic"], "input"), (["--audio", "text.wav"], "text.wav")):
        (tmp_path / "text.wav").write_text("this is no sound")
        ended = run(*arguments, "--record", "tonight.mp4", *SMALL, cwd=tmp_path)
        assert ended.returncode == 1 and word in ended.stderr and "Traceback" not in ended.stderr, ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.wav", "tonight.mp4"]
    assert (tmp_path / "tonight.mp4").read_text() == "good"
    ended = run("--device", "nosuchmic", "--record", ".", *SMALL, cwd=tmp_path)
    assert ended.returncode == 1 and "is a folder" in ended.stderr


_FULL = """
import errno, os, sys
from tpos_live.display.video import _File
write = _File.write
def full(self, data):
    if self.written > 100_000:
        self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise self.error
    return write(self, data)
_File.write = full
"""


@pytest.mark.slow
def test_a_full_disk_does_not_end_the_show_and_is_told_at_its_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", 0.2 * np.random.default_rng(0).standard_normal((48_000 * 60, 2)), 48_000)
    arguments = ["--audio", "noise.wav", "--mute", "--record", "a.mp4", *SMALL]
    environment = {**os.environ, "HOME": str(tmp_path / "none")}  # a recording that is cut goes on there
    process = start(*arguments, cwd=tmp_path, env=environment, code=_FULL)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "recording lost" in line:
            break
    assert process.poll() is None, lines
    process.send_signal(signal.SIGINT)
    _out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "No space left" in lines[-1] and "a.part.mp4" in lines[-1] and lines[-1] in errors
    assert (tmp_path / "a.part.mp4").exists() and not (tmp_path / "a.mp4").exists()


@pytest.mark.slow
def test_a_show_that_was_killed_leaves_a_part_that_the_next_one_keeps(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", 0.2 * np.random.default_rng(0).standard_normal((48_000 * 60, 2)), 48_000)
    arguments = ["--audio", "noise.wav", "--mute", "--record", "a.mp4", *SMALL]
    process = start(*arguments, cwd=tmp_path)
    part, end = tmp_path / "a.part.mp4", time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 50_000) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    left = part.read_bytes()
    process = start(*arguments, "--seconds", "6", cwd=tmp_path)
    _out, errors = process.communicate(timeout=100)
    assert process.returncode == 0 and "a.part.mp4" in errors and "recorded a-2.mp4" in errors, errors
    assert part.read_bytes() == left
    with av.open(str(tmp_path / "a-2.mp4")) as file:
        assert (file.duration or 0) / 1e6 == pytest.approx(6.0, abs=2.5)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")
def test_a_show_that_slept_goes_on_and_a_closed_terminal_completes_its_recording(tmp_path: Path) -> None:
    """SIGSTOP stands for a suspended computer, SIGHUP is what a terminal sends that is closed."""
    soundfile.write(tmp_path / "noise.wav", 0.2 * np.random.default_rng(0).standard_normal((48_000 * 120, 2)), 48_000)
    process = start("--audio", "noise.wav", "--mute", "--record", "a.mp4", *SMALL, cwd=tmp_path)
    part = tmp_path / "a.part.mp4"

    def grows_by(size: int) -> bool:
        more = (part.stat().st_size if part.exists() else 0) + size
        return wait_until(lambda: process.poll() is not None or (part.exists() and part.stat().st_size > more), 60)

    assert grows_by(50_000)
    process.send_signal(signal.SIGSTOP)
    time.sleep(4.0)
    process.send_signal(signal.SIGCONT)
    assert grows_by(50_000) and process.poll() is None
    process.send_signal(signal.SIGHUP)
    _out, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "recorded a.mp4" in errors, errors
    assert "Traceback" not in errors and "recording lost" not in errors, errors
    with av.open(str(tmp_path / "a.mp4")) as file:
        ends = [float((s.duration or 0) * (s.time_base or 0)) for s in (file.streams.video[0], file.streams.audio[0])]
        assert min(ends) > 1.0 and abs(ends[0] - ends[1]) < 0.3
        assert sum(1 for _ in file.decode(video=0)) > 3


@pytest.mark.slow
def test_two_shows_at_once_share_nothing_but_the_folder(tmp_path: Path) -> None:
    """The same ports, the same cache, the same name of a recording."""
    soundfile.write(tmp_path / "noise.wav", 0.2 * np.random.default_rng(0).standard_normal((48_000 * 120, 2)), 48_000)
    ports = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as free:
            free.bind(("127.0.0.1", 0))
            ports.append(str(free.getsockname()[1]))
    arguments = ["--headless", "--osc-port", ports[0], "--web-port", ports[1], "--size", "64", "--threads", "1"]
    arguments += ["--accelerator", "eager", "--audio", "noise.wav", "--mute", "--record", "a.mp4"]
    shows = [start(*arguments, cwd=tmp_path) for _ in range(2)]
    try:
        parts = [tmp_path / f"a{more}.part.mp4" for more in ("", "-2")]
        assert wait_until(lambda: all(part.exists() and part.stat().st_size > 50_000 for part in parts), 90)
        for show in shows:
            show.send_signal(signal.SIGTERM)
        errors = [show.communicate(timeout=60)[1] for show in shows]
    finally:
        for show in shows:
            show.kill()
    assert [show.returncode for show in shows] == [0, 0] and "Traceback" not in "".join(errors), errors
    for line in (f"port {ports[0]} is taken", f"port {ports[1]} is taken"):
        assert sum(line in told for told in errors) == 1, errors
    for name in ("a.mp4", "a-2.mp4"):
        with av.open(str(tmp_path / name)) as file:
            assert sum(1 for _ in file.decode(video=0)) > 3
