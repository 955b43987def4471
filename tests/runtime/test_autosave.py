"""What is saved of a running show, and how it continues after a crash."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from fakes import forked
from fakes.waiting import wait_until
from pythonosc.udp_client import SimpleUDPClient

from tpos_live.audio.demo import DEMO
from tpos_live.audio.source import Chunk
from tpos_live.core.errors import EngineError, EngineHungError
from tpos_live.core.frame_params import INTEGRATED
from tpos_live.core.looks import Look, Show
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.process_identity import born
from tpos_live.core.settings import Settings, SoundSettings, WebSettings, WindowSettings
from tpos_live.core.show_file import write_show
from tpos_live.director.framing import Shot
from tpos_live.director.memory import DirectorMemory
from tpos_live.runtime import autosave
from tpos_live.runtime.autosave import (
    KEPT_SECONDS,
    MOTION_EVERY,
    SAVED,
    Autosave,
    ShowState,
    find_crashed,
    left_by,
    was_reported,
)
from tpos_live.runtime.autosave import read_state as read
from tpos_live.runtime.live_session import LiveSession

STILL = dict.fromkeys(INTEGRATED, 0.0)
DIRECTED = DirectorMemory("deep sea", "ambient music", 0.48, Shot(zoom=0.1, x=-0.02), 3, 4, 5)


def state_of(store: ParameterStore, look: str = "", noise: float = 0.0) -> ShowState:
    values = store.snapshot().values
    motion = {**STILL, "noise_position": noise}
    return ShowState({name: values[name] for name in SAVED}, look, 2, True, motion, 1, DIRECTED)


def crash(folder: Path, state: ShowState, number: int = 99_999_999) -> Path:
    """The file of a show whose process no longer runs."""
    Autosave(folder, lambda: state).step(0.0)
    path = folder / f"show-{number}.json"
    (folder / f"show-{os.getpid()}.json").rename(path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "pid": number}))
    return path


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    store = ParameterStore({"prompt": "sea “deep” 海", "finish.bloom": 1.5, "out.blackout": True, "seed": 7})
    store.update({"prompt.2.weight": 0.4, "quantise": "bar"})
    state = state_of(store, "deep", 12.5)
    path = crash(tmp_path, state)
    assert find_crashed(tmp_path) == path and read(path) == state


def test_looks_that_no_file_keeps_are_saved_and_removed_with_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show, written = Show((Look("deep", {"prompt": "deep sea", "finish.bloom": 1.5}),)), list[Path]()

    def write(path: Path, show: Show, private: bool = False) -> None:
        written.append(path)
        write_show(path, show, private)

    monkeypatch.setattr(autosave, "write_show", write)
    state = replace(state_of(ParameterStore()), show=show)
    with Autosave(tmp_path, lambda: state) as saver:
        assert wait_until(lambda: saver._written is not None)
        found = read(saver._path)
        assert found == state
        state = replace(state, look="deep")
        saver.step(100.0)
        assert len(written) == 1, "they have not changed"
        if os.name == "posix":
            assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    (tmp_path / f"show-{os.getpid()}.toml").write_text("[[look]]\nname = 'of a process with this number'")
    path = crash(tmp_path, replace(state, show=None))
    assert list(tmp_path.iterdir()) == [path]
    path.with_suffix(".toml").write_text("[[look")
    assert read(path).show is None, "damaged ones do not keep the rest from continuing"


def test_a_state_of_before_the_director_was_saved_is_read(tmp_path: Path) -> None:
    path = crash(tmp_path, state_of(ParameterStore({"seed": 7})))
    data = json.loads(path.read_text())
    del data["directed"]
    path.write_text(json.dumps(data))
    assert read(path) == replace(state_of(ParameterStore({"seed": 7})), directed=DirectorMemory())


def test_a_kind_of_music_that_this_version_does_not_know_is_none(tmp_path: Path) -> None:
    strange = replace(DIRECTED, kind="a kind of tomorrow")
    path = crash(tmp_path, replace(state_of(ParameterStore()), directed=strange))
    assert read(path).directed == replace(DIRECTED, kind="", scene="")


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
def test_no_other_user_may_read_what_is_saved(tmp_path: Path) -> None:
    """A source's address may hold a password."""
    assert Autosave(tmp_path, lambda: state_of(ParameterStore())).step(0.0)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o077 == 0


def test_it_writes_only_what_has_changed(tmp_path: Path) -> None:
    store, noise = ParameterStore(), [0.0]
    saver = Autosave(tmp_path, lambda: state_of(store, noise=noise[0]))
    assert saver.step(0.0) and not saver.step(2.0)
    noise[0] = 1.0
    assert not saver.step(4.0), "it moves all the time"
    store.set("finish.bloom", 1.0)
    assert saver.step(6.0) and not saver.step(8.0)
    noise[0] = 2.0
    assert saver.step(6.0 + MOTION_EVERY)


def test_what_could_not_be_written_is_tried_again(tmp_path: Path, messages: list[str]) -> None:
    (tmp_path / "full").write_text("")
    state = state_of(ParameterStore())
    saver = Autosave(tmp_path / "full", lambda: state)
    assert not saver.step(0.0) and not saver.step(2.0) and len(messages) == 1
    (tmp_path / "full").unlink()
    assert saver.step(4.0) and not saver.step(6.0), "though nothing has changed"


def test_a_show_that_dies_before_it_hears_continues_where_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first state is written before there is sound, and replaces that of the dead show."""
    monkeypatch.setenv("TPOS_LIVE_STATE", str(tmp_path))
    settings = Settings(
        window=WindowSettings(headless=True), sound=SoundSettings(audio=str(DEMO)), web=WebSettings(off=True)
    )
    values = {**ParameterStore().snapshot().values, "prompt": "aurora", "seed": 7}
    motion = dict(zip(INTEGRATED, (41.5, 1.5, -2.0, 0.25, 3.0, 0.5), strict=True))
    state = ShowState({name: values[name] for name in SAVED}, "deep", 2, False, motion, 3, DIRECTED)
    session = LiveSession(settings)
    session.resume(state)
    assert session.state() == state
    silence = np.zeros(480, np.float32)
    session.audio_processor.process(Chunk(silence, np.zeros((480, 2), np.float32), 0.0), session.store.snapshot())
    params = session.audio_processor.params
    assert params.cut_index == 3, "the noise that was drawn, and not the seed's first"
    assert params.direction.scene == "deep sea" and params.direction.palette == pytest.approx(0.48)
    assert params.noise_position == pytest.approx(41.5, abs=0.1) and params.pan_y == pytest.approx(-2.0, abs=0.1)


def test_a_clean_end_leaves_nothing_and_a_running_show_is_no_crash(tmp_path: Path) -> None:
    with Autosave(tmp_path, lambda: state_of(ParameterStore())):
        end = time.monotonic() + 10.0
        while not list(tmp_path.glob("show-*.json")) and time.monotonic() < end:
            time.sleep(0.01)
        assert list(tmp_path.glob("show-*.json")) and find_crashed(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_the_state_and_the_continued_one_is_removed(tmp_path: Path) -> None:
    before = crash(tmp_path, state_of(ParameterStore()))
    saver = Autosave(tmp_path, lambda: state_of(ParameterStore()), after=before)
    with pytest.raises(RuntimeError), saver:
        saver.step(0.0)
        raise RuntimeError
    (left,) = tmp_path.glob("show-*.json")
    assert left != before


def test_an_engine_that_hangs_leaves_the_state_to_the_watchdog(tmp_path: Path) -> None:
    for error, left in ((EngineHungError("openvino hangs"), 1), (EngineError("not there"), 0)):
        with pytest.raises(EngineError), Autosave(tmp_path, lambda: state_of(ParameterStore())):
            assert wait_until(lambda: len(list(tmp_path.glob("show-*.json"))) == 1)
            raise error
        assert len(list(tmp_path.glob("show-*.json"))) == left


def test_only_the_newest_crash_is_offered_and_none_from_yesterday(tmp_path: Path) -> None:
    old, new = (crash(tmp_path, state_of(ParameterStore()), 99_999_990 + n) for n in range(2))
    os.utime(old, (1000.0, 1000.0))
    assert find_crashed(tmp_path) == new and not old.exists()
    assert find_crashed(tmp_path, time.time() + KEPT_SECONDS + 10) is None and not new.exists()


def test_a_crash_is_left_to_the_watchdog_that_continues_it(tmp_path: Path) -> None:
    """Another show that starts or has died at the same moment neither takes nor deletes it."""
    watchdog = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        Autosave(tmp_path, lambda: state_of(ParameterStore()), watchdog=watchdog.pid).step(0.0)
        watched = (tmp_path / f"show-{os.getpid()}.json").rename(tmp_path / "show-99999990.json")
        watched.write_text(json.dumps({**json.loads(watched.read_text()), "pid": 99_999_990}))
        assert find_crashed(tmp_path) is None
        other = crash(tmp_path, state_of(ParameterStore()))
        assert find_crashed(tmp_path) == other and watched.exists()
        assert left_by(tmp_path, 99_999_990) == watched and left_by(tmp_path, 5) is left_by(tmp_path, 0) is None
    finally:
        watchdog.kill()
        watchdog.wait()
    assert find_crashed(tmp_path) in (watched, other), "nobody else will"


def test_a_crash_is_told_once(tmp_path: Path) -> None:
    path = crash(tmp_path, state_of(ParameterStore()))
    assert not was_reported(path) and was_reported(path) and find_crashed(tmp_path) == path
    with Autosave(tmp_path, lambda: state_of(ParameterStore()), after=path):
        assert wait_until(lambda: not path.exists())
    assert not list(tmp_path.iterdir())
    again = crash(tmp_path, state_of(ParameterStore()))
    assert not was_reported(again)


def test_a_process_of_the_same_number_is_told_of_anew(tmp_path: Path) -> None:
    assert not was_reported(tmp_path / f"show-{os.getpid()}.json")
    with contextlib.suppress(ZeroDivisionError), Autosave(tmp_path, lambda: state_of(ParameterStore())):
        assert wait_until(lambda: bool(list(tmp_path.glob("show-*.json"))))
        raise ZeroDivisionError
    assert not was_reported(tmp_path / f"show-{os.getpid()}.json")


def test_a_state_that_cannot_be_removed_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """For example on a disk that has become read-only: a show must start, and end."""

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("show-"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        unlink(path, missing_ok)

    old, new = (crash(tmp_path, state_of(ParameterStore()), 99_999_990 + n) for n in range(2))
    os.utime(old, (1000.0, 1000.0))
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", refuse)
    assert find_crashed(tmp_path) == new and old.exists()
    with Autosave(tmp_path, lambda: state_of(ParameterStore()), after=new):
        assert wait_until(lambda: len(list(tmp_path.glob("show-*.json"))) == 3)
    assert len(messages) == 3 and all(os.strerror(errno.EROFS) in line for line in messages)


def test_a_disk_that_answers_after_a_clean_end_leaves_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answers, done = threading.Event(), threading.Event(), threading.Event()
    write = autosave.write_text

    def write_late(*args: Any, **more: Any) -> None:
        asked.set()
        assert answers.wait(20)
        write(*args, **more)

    def step(saver: Autosave, now: float) -> bool:
        written = real(saver, now)
        done.set()
        return written

    real = Autosave.step
    monkeypatch.setattr(autosave, "write_text", write_late)
    monkeypatch.setattr(Autosave, "step", step)
    with Autosave(tmp_path, lambda: state_of(ParameterStore())) as saver:
        assert asked.wait(20)
        saver._patience = 0.01
    answers.set()
    assert done.wait(20) and not list(tmp_path.iterdir())


def test_each_state_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two reads may differ: another show may write or delete the file in between."""
    crash(tmp_path, state_of(ParameterStore()))
    real, read_files = Path.read_text, list[str]()

    def read_text(path: Path, *args: Any, **more: Any) -> str:
        read_files.append(path.name)
        return real(path, *args, **more)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert find_crashed(tmp_path) is not None
    assert [name for name in read_files if name.startswith("show-")] == ["show-99999999.json"]


def test_a_clock_that_is_set_back_makes_no_crash_of_a_running_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux moves the time of the boot with the clock, and with it the start of every process."""
    assert Autosave(tmp_path, lambda: state_of(ParameterStore())).step(0.0)
    if sys.platform.startswith("linux"):
        start = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: start(process) - 3600.0)
    assert find_crashed(tmp_path, time.time() - 3600.0) is None and list(tmp_path.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere only the clock says it")
def test_a_clock_that_is_set_back_offers_the_show_that_crashed_last(tmp_path: Path) -> None:
    old, new = (crash(tmp_path, state_of(ParameterStore()), 99_999_990 + n) for n in range(2))
    data = json.loads(new.read_text())
    boot, ticks = data["born"].split()
    new.write_text(json.dumps({**data, "born": f"{boot} {int(ticks) + 100}"}))
    back = time.time() - 3600.0
    os.utime(new, (back, back))
    assert find_crashed(tmp_path, back + 1.0) == new and not old.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"values": 3}',
        '{"values": {"seed": []}, "motion": {}}',
        "[" * 99999,
        json.dumps({"values": {}, "look": "", "cue": math.inf, "motion": STILL}),
        json.dumps({"values": {}, "look": "", "cue": 1, "motion": {**STILL, "pan_x": 10**400}}),
        json.dumps({"values": {}, "look": "", "cue": 1, "motion": STILL, "directed": 3}),
        json.dumps({"values": {}, "look": "", "cue": 1, "motion": STILL, "directed": {"shot": [math.nan] * 7}}),
        json.dumps({"values": {}, "look": "", "cue": 1, "motion": STILL, "directed": {"shot": [0] * 70}}),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "show-99999999.json"
    path.write_text(text)
    assert find_crashed(tmp_path) == path
    with pytest.raises(ValueError, match="cannot be read") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_disk_that_refuses_is_said_once(tmp_path: Path, messages: list[str]) -> None:
    (tmp_path / "file").write_text("")
    saver = Autosave(tmp_path / "file", lambda: state_of(ParameterStore({"seed": len(messages)})))
    assert not saver.step(0.0) and not saver.step(100.0)
    assert len(messages) == 1 and "cannot be written" in messages[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nobody keeps a process that has ended")
def test_a_killed_show_that_nobody_has_waited_for_has_crashed(tmp_path: Path) -> None:
    """A terminal, a shell script or the kernel, busy with its memory, keeps its number for a while."""
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    path = tmp_path / f"show-{killed.pid}.json"
    path.write_text(json.dumps({"pid": killed.pid, "born": born(killed.pid)}))
    assert find_crashed(tmp_path) is None
    killed.kill()
    assert wait_until(lambda: psutil.Process(killed.pid).status() == psutil.STATUS_ZOMBIE)
    assert find_crashed(tmp_path) == path
    killed.communicate()


@pytest.mark.slow
def test_a_killed_show_continues(tmp_path: Path) -> None:
    """A real process that gets SIGKILL; the next one says --resume, and one with it has the same parameters."""
    arguments = ["--headless", "--audio", str(DEMO), "--mute", "--size", "256", "--accelerator", "eager", "--no-web"]
    arguments += ["--osc-port", "9351"]
    environment = {**os.environ, "TPOS_LIVE_STATE": str(tmp_path / "state")}
    osc = SimpleUDPClient("127.0.0.1", 9351)

    def start(*more: str) -> subprocess.Popen[str]:
        process = forked.start(*arguments, *more, cwd=tmp_path, env=environment)
        stack.callback(process.kill)
        return process

    def saved(process: subprocess.Popen[str], change: bool) -> dict[str, object]:
        """The state that this process has saved, once it has the changes."""
        path = tmp_path / "state" / f"show-{process.pid}.json"
        end = time.monotonic() + 90.0
        while time.monotonic() < end and process.poll() is None:
            if change:
                osc.send_message("/tpos/prompt", "lava at night")
                osc.send_message("/tpos/finish/bloom", 1.5)
            if path.exists():
                values = dict(read(path).values)
                if (values["prompt"], values["finish.bloom"]) == ("lava at night", 1.5):
                    return values
            time.sleep(0.3)
        raise AssertionError("not saved")

    with contextlib.ExitStack() as stack:
        first = start()
        before = saved(first, change=True)
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=20)
        second = start("--seconds", "0.1")
        assert "start with --resume" in second.communicate(timeout=120)[1]
        assert "start with --resume" not in start("--seconds", "0.1").communicate(timeout=120)[1], "told once"
        third = start("--resume")
        assert saved(third, change=False) == before and before["seed"] != 0
        third.send_signal(signal.SIGTERM)
        _, errors = third.communicate(timeout=30)
    assert "continues the one that crashed" in errors and "Traceback" not in errors
    assert not list((tmp_path / "state").glob("show-*.json")), "a clean end"
