"""Recording, snapshots and input, changed while a show runs: a real session, without a window."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
from fakes.fake_mic import FakeMicrophone, fake_microphone, require_fake_microphone, sine
from fakes.full_disk import full_disk
from fakes.own_process import in_own_process
from fakes.waiting import wait_until
from PIL import Image

from tpos_live.audio import devices
from tpos_live.audio.devices import Device
from tpos_live.bench.waiting import run_until_first_frame
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import OutputSettings, RecordSettings
from tpos_live.core.settings_loader import load_settings
from tpos_live.core.status import Status
from tpos_live.display.output import Output
from tpos_live.display.recorder import Recorder
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.outputs import ExtraOutputs
from tpos_live.runtime.session_controls import SessionControls

SIZE = (160, 96)


@pytest.fixture
def settings_of(turbo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Settings of a small show without a window and OSC, with files in a folder of their own."""
    monkeypatch.delenv("DISPLAY", raising=False)
    soundfile.write(tmp_path / "noise.wav", 0.2 * np.random.default_rng(0).standard_normal((48_000 * 120, 2)), 48_000)
    (tmp_path / "out").mkdir()
    (tmp_path / "spare").mkdir()
    return {
        "engine.name": str(turbo_folder), "engine.accelerator": "eager", "engine.size": "64", "engine.threads": 1,
        "sound.audio": str(tmp_path / "noise.wav"), "sound.mute": True, "window.headless": True, "osc.port": 0,
        "record.resolution": "{}x{}".format(*SIZE), "record.folder": str(tmp_path / "out"),
        "record.spare": str(tmp_path / "spare"),
    }  # fmt: skip


@pytest.fixture
def session(settings_of: dict[str, object]) -> Iterator[LiveSession]:
    with LiveSession(load_settings(settings_of)) as session:
        run_until_first_frame(session)
        yield session


def test_without_a_window_a_line_says_that_there_are_no_screens(
    settings_of: dict[str, object], messages: list[str]
) -> None:
    with LiveSession(load_settings({**settings_of, "output.to": "screen:1"})) as session:
        assert sum("screen:" in line for line in messages) == 1
        session.controls.outputs.screens.on_close(1, "screen:1")
        assert session.store.snapshot()["out.wall.1"] is False and "out.wall.1" in messages[-1]


def run_until(session: LiveSession, true: Callable[[Status], bool], seconds: float = 30.0) -> Status:
    """Run the show until its status meets a condition."""
    end = time.monotonic() + seconds
    session.display.run(lambda: true(session.status_registry.status()) or time.monotonic() > end)
    status = session.status_registry.status()
    assert true(status), status
    return status


def lines_of(messages: list[str], begin: str) -> list[str]:
    """The rest of each message that begins with this text."""
    return [line.removeprefix(begin) for line in messages if line.startswith(begin)]


def lengths(path: Path) -> tuple[float, float]:
    """Seconds of video and of sound of a playable file."""
    with av.open(str(path)) as file:
        stream, sound = file.streams.video[0], file.streams.audio[0]
        assert (stream.width, stream.height) == SIZE
        return float((stream.duration or 0) * stream.time_base), float((sound.duration or 0) * sound.time_base)


@pytest.mark.slow
def test_a_recording_is_begun_and_ended_twice(session: LiveSession, tmp_path: Path, messages: list[str]) -> None:
    for count in (1, 2):
        session.store.set("out.record", True)
        run_until(session, lambda status: status.record_seconds > 1.0)
        session.store.set("out.record", False)
        run_until(session, lambda status: not status.recording)
        run_until(session, lambda _, count=count: len(lines_of(messages, "recorded ")) == count)  # type: ignore[misc]
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 2 and all(path.suffix == ".mp4" for path in files)
    for path in files:
        seen, heard = lengths(path)
        assert seen > 0.9 and seen == pytest.approx(heard, abs=0.3)
    assert not session.controls.recordings.failures


@pytest.mark.slow
def test_the_engine_ends_while_the_last_recording_is_finished(
    settings_of: dict[str, object], messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cores are then free for the encoder, which has frames left to write."""
    ended: list[bool] = []
    close = Recorder.close

    def slow(recorder: Recorder) -> None:
        renderer = session.renderer
        assert renderer is not None
        ended.append(wait_until(lambda: not renderer._thread.is_alive(), 5.0))
        close(recorder)

    monkeypatch.setattr(Recorder, "close", slow)
    with LiveSession(load_settings(settings_of)) as session:
        run_until_first_frame(session)
        session.store.set("out.record", True)
        run_until(session, lambda status: status.record_seconds > 0.5)
    assert ended == [True] and len(lines_of(messages, "recorded ")) == 1


@pytest.mark.slow
def test_a_snapshot_is_what_is_shown(session: LiveSession, tmp_path: Path, messages: list[str]) -> None:
    session.store.set("out.level", 0.0)
    run_until(session, lambda _: session.display.read_back().max() <= 1)  # the level fades
    session.store.trigger("out.snapshot")
    run_until(session, lambda _: bool(lines_of(messages, "saved ")))
    session.store.set("out.level", 1.0)
    run_until(session, lambda _: session.display.read_back().max() > 20)
    session.store.trigger("out.snapshot")
    run_until(session, lambda _: len(lines_of(messages, "saved ")) == 2)
    saved = lines_of(messages, "saved ")
    images = [np.asarray(Image.open(path)) for path in saved]
    assert all(image.shape == (SIZE[1], SIZE[0], 3) and Path(path).parent == tmp_path / "out"
               for image, path in zip(images, saved, strict=True))  # fmt: skip
    assert images[0].max() <= 1 and images[1].max() > 20
    assert all(re.fullmatch(r"tpos-\d{8}-\d{6}-\d{3}\.png", Path(path).name) for path in saved)


@pytest.mark.slow
def test_a_snapshot_that_cannot_be_written_is_told_and_the_show_goes_on(
    session: LiveSession, tmp_path: Path, messages: list[str]
) -> None:
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("a file")
    session.store.trigger("out.snapshot")
    run_until(session, lambda status: str(tmp_path / "out") in status.message)
    assert not any("\n" in line for line in messages)
    renderer = session.renderer
    assert renderer is not None
    drawn = renderer.drawn
    run_until(session, lambda _: renderer.drawn > drawn)


@pytest.mark.slow
def test_a_recorder_that_fails_in_the_middle_does_not_end_the_show(
    session: LiveSession, tmp_path: Path, messages: list[str]
) -> None:
    """The disk is full after a second; what was written is kept, the loss is told, and the recording goes on in the
    spare folder. The next one is in its own folder again."""
    session.store.set("out.record", True)
    run_until(session, lambda status: status.record_seconds > 1.0)
    (recorder,) = (output for output in session.display.outputs if isinstance(output, Recorder))
    writer = recorder._writer
    assert writer is not None
    run_until(session, lambda _: writer._has_picture())  # the encoder of a busy machine may not be there yet
    full_disk(writer)
    status = run_until(session, lambda status: bool(status.record_error), 60.0)
    assert "No space left" in status.record_error and status.message == status.record_error
    run_until(session, lambda status: "spare" in status.recording and status.record_seconds > 0.5)
    assert session.store.snapshot()["out.record"] and session.controls.recordings.failures == [status.record_error]
    renderer = session.renderer
    assert renderer is not None
    drawn = renderer.drawn
    run_until(session, lambda _: renderer.drawn > drawn)
    session.store.set("out.record", False)
    run_until(session, lambda _: bool(list((tmp_path / "spare").glob("tpos-*.mp4"))))
    session.store.trigger("out.acknowledge")
    run_until(session, lambda status: not status.record_error)
    session.store.set("out.record", True)
    run_until(session, lambda status: status.record_seconds > 0.5)
    session.store.set("out.record", False)
    run_until(session, lambda _: len(lines_of(messages, "recorded ")) == 2)
    assert sorted(path.suffixes for path in (tmp_path / "out").iterdir()) == [[".mp4"], [".part", ".mp4"]]


@pytest.mark.slow
def test_an_input_cannot_be_chosen_while_a_file_plays(session: LiveSession) -> None:
    session.store.set("audio.device", "another")
    status = run_until(session, lambda status: "'another'" in status.message)
    assert "start the show with --device" in status.message and status.sound_name == "noise.wav"


@pytest.fixture
def mic() -> Iterator[FakeMicrophone | None]:
    require_fake_microphone()
    if not in_own_process():  # PortAudio cannot be ended while a driver hangs in it: it aborts the process
        yield None
        return
    with fake_microphone() as microphone:
        yield microphone


@pytest.mark.audio
@pytest.mark.own_process
def test_the_input_changes_while_the_show_runs(mic: FakeMicrophone, settings_of: dict[str, object]) -> None:
    """To another microphone, to one that is not there, which leaves it as it is, and back."""
    mic.play(np.tile(sine(110.0, 1.0), 60))
    chosen = {**settings_of, "sound.audio": "", "sound.device": mic.device}
    with LiveSession(load_settings(chosen)) as session:
        run_until_first_frame(session)
        run_until(session, lambda status: status.sound_name.startswith(mic.device) and status.level > 0.1)
        session.store.set("audio.device", mic.other)
        run_until(session, lambda status: status.sound_name.startswith(mic.other) and status.level > 0.1)
        session.store.set("audio.device", "no such microphone")
        run_until(session, lambda status: "no such microphone" in status.message)
        run_until(session, lambda status: status.sound_name.startswith(mic.other) and status.sound_state == "running")
        session.store.set("audio.device", mic.device)
        run_until(session, lambda status: status.sound_name.startswith(mic.device) and status.sound_state == "running")


def test_an_output_that_fails_while_it_is_closed_leaves_no_recording_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoWindow:
        def __init__(self) -> None:
            self.outputs: list[object] = []

    def fail(outputs: object) -> None:
        raise RuntimeError("a driver's error")

    controls = SessionControls(ParameterStore(), object(), RecordSettings(folder=str(tmp_path)))
    display = NoWindow()
    assert controls.recordings.begin((64, 64), display.outputs)
    monkeypatch.setattr(controls.outputs, "close", fail)
    with pytest.raises(RuntimeError, match="driver"):
        controls.close(display, failed=True)
    assert not controls.recordings.running and not display.outputs


def test_the_key_for_the_next_input_reaches_every_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also an input whose name is the beginning of another name."""
    names = ("Mic Pro", "Mic", "Line")
    rows = [Device(n, name, "ALSA", 2, 0, 48_000.0) for n, name in enumerate(names)]
    monkeypatch.setattr(devices, "list_devices", lambda: rows)
    store, now = ParameterStore(), "Mic"
    desk = SessionControls(store, SimpleNamespace(status=lambda _now: SimpleNamespace(name=now)))  # type: ignore[arg-type]
    seen = []
    for _ in names:
        desk._next_device()
        now = str(store.snapshot()["audio.device"]).removesuffix(", ALSA")
        seen.append(now)
    assert seen == ["Line", "Mic Pro", "Mic"]


class Display:
    """What the controls need of one, whose next screen is an error of the system."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.size = SIZE

    def read_back(self) -> np.ndarray:
        raise MemoryError

    def close_soon(self) -> None:
        return

    def next_screen(self) -> int:
        raise OSError(5, "the screens do not answer")


def test_what_fails_between_two_frames_ends_neither_the_show_nor_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    store, opened, display = ParameterStore(), list[str](), Display()
    sound = SimpleNamespace(reopen=opened.append)
    record = RecordSettings(folder=str(tmp_path))
    controls = SessionControls(store, sound, record, OutputSettings(to=[str(tmp_path / "b.mp4")]))  # type: ignore[arg-type]
    monkeypatch.setattr(Recorder, "open", fail)
    store.update({"out.record": True, "audio.device": "desk"})
    store.trigger("out.snapshot")
    for _ in range(3):
        controls.update(display)
    assert opened == ["desk"] and not store.snapshot()["out.record"] and not display.outputs
    controls.key("m", frozenset({"ctrl"}), display)
    lines = "\n".join(messages)
    assert lines.count("cannot record") == lines.count("b.mp4: can't start") == 1
    assert lines.count("MemoryError") == lines.count("do not answer") == 1 and len(messages) == 4


def test_work_beside_the_show_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    def fail() -> list[Device]:
        raise KeyError("name")

    monkeypatch.setattr(devices, "list_devices", fail)
    controls = SessionControls(ParameterStore(), SimpleNamespace())  # type: ignore[arg-type]
    controls.key("a", frozenset({"ctrl"}), Display())
    controls.close(Display())
    assert len(messages) == 1 and "'name'" in messages[0]


def test_an_output_that_cannot_be_ended_keeps_no_other_one_open(messages: list[str]) -> None:
    class Sink:
        name, line, error, ended = "sink", "", "", False

        def __init__(self, fails: bool) -> None:
            self.fails = fails

        def end(self) -> None:
            if self.fails:
                raise OSError(5, "the driver is gone")

        def close(self) -> None:
            self.end()
            self.ended = True

    extra = ExtraOutputs(OutputSettings(to=["a.mp4", "b.mp4"]), ParameterStore().snapshot)
    sinks = [Sink(True), Sink(False)]
    for place, sink in zip(extra._places, sinks, strict=True):
        place.running = sink  # type: ignore[assignment]
    outputs: list[Output] = [*sinks]  # type: ignore[list-item]
    extra.close(outputs)
    assert sinks[1].ended and not outputs and len(messages) == 1 and "driver is gone" in messages[0]
