"""Real shows with a watchdog that are killed: the output is never black, and the show continues."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import psutil
import pytest
from fakes.memory_group import killed_in, memory_group
from fakes.screen_reader import watch_screen
from fakes.tools import require_tool
from fakes.waiting import wait_until
from fakes.xvfb import is_mapped, one_screen

from tpos_live.audio.demo import DEMO
from tpos_live.runtime.watchdog import is_available

pytestmark = [pytest.mark.slow, pytest.mark.real_time, pytest.mark.skipif(bool(is_available()), reason=is_available())]

SIZE = (640, 360)
LOOK = {"seed": 7, "prompt": "a bright sunrise"}


@contextmanager
def show(folder: Path, *arguments: str, display: str = "") -> Iterator[psutil.Popen]:
    command = [sys.executable, "-m", "tpos_live", "--watchdog", "--audio", str(DEMO), "--loop", "--mute", "--no-web"]
    command += ["--osc-port", "0", "--size", "128", "--seed", "7", "--prompt", "a bright sunrise"]
    command += ["--accelerator", "eager", *arguments]  # no conversion runs beside the measurement
    environment = {**os.environ, "TPOS_LIVE_STATE": str(folder / "state"), "DISPLAY": display}
    process = psutil.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        for each in (*process.children(recursive=True), process) if process.is_running() else ():
            each.kill()


def shows_of(process: psutil.Popen) -> list[psutil.Process]:
    """The show, if one runs: the oldest child of the watchdog except the still; the spare is younger."""
    found = []
    for child in process.children():
        with suppress(psutil.Error):  # it has just ended
            if "still_window" not in str(child.cmdline()):
                found.append((child.create_time(), child.pid, child))
    return [child for *_, child in sorted(found)[:1]]


def state(folder: Path, process: psutil.Process) -> dict[str, object]:
    path = folder / "state" / f"show-{process.pid}.json"
    values = json.loads(path.read_text())["values"] if path.exists() else {}
    return {name: values.get(name) for name in LOOK}


def test_the_output_is_never_black_and_the_look_is_the_same(tmp_path: Path) -> None:
    require_tool("Xvfb", "xdotool")
    chance = random.Random(25)
    calm = ("--fullscreen", "--fps-cap", "10")  # low frame rate: leaves the cores to the measurement
    with one_screen(SIZE) as display, show(tmp_path, *calm, display=display) as process:
        assert wait_until(lambda: is_mapped(display, "tpos-live still"), 60.0), "the still begins after the first frame"
        time.sleep(1.0)
        with watch_screen(display, 0, SIZE[1] // 2, SIZE[0], 4) as watched:
            for _ in range(2):
                time.sleep(chance.uniform(0.5, 1.5))
                (first,) = shows_of(process)
                killed = time.perf_counter()
                first.send_signal(signal.SIGKILL)
                assert wait_until(lambda first=first: [s.pid for s in shows_of(process)] not in ([], [first.pid]))  # type: ignore[misc]
                (second,) = shows_of(process)
                assert wait_until(lambda second=second: state(tmp_path, second) == LOOK, 60.0)  # type: ignore[misc]
                time.sleep(2.0)
                black = [(round(at - killed, 3), round(seconds, 3)) for at, seconds in watched.black(killed)]
                assert not [seconds for _, seconds in black if seconds > 1 / 60], (
                    black,
                    [look for look in watched.looks if look[1] <= 12][:60],
                )
        assert len(watched.looks) > 200
        process.terminate()
        _, messages = process.communicate(timeout=30)
        assert process.returncode == 0 and messages.count("SIGKILL") == 2 and "Traceback" not in messages


def test_a_recording_without_a_window_goes_on_in_a_new_file(tmp_path: Path) -> None:
    """Killed by the kernel for lack of memory, if the test may set a limit."""
    part, second = tmp_path / "a.part.mp4", tmp_path / "a-2.part.mp4"
    with (
        memory_group(1 << 20) as group,
        show(tmp_path, "--headless", "--record", "a.mp4") as process,
    ):
        for path in (part, second):
            assert wait_until(lambda path=path: path.exists() and path.stat().st_size > 900_000, 60.0)  # type: ignore[misc]
            if path is part and group:
                (group / "cgroup.procs").write_text(str(shows_of(process)[0].pid))
                assert wait_until(lambda: killed_in(group) == 1, 60.0)
            elif path is part:
                shows_of(process)[0].kill()
        process.terminate()
        _, messages = process.communicate(timeout=30)
    assert process.returncode == 0 and "recorded a-2.mp4" in messages, messages
    for path in (part, tmp_path / "a-2.mp4"):
        with av.open(str(path)) as file:
            packets = [packet for packet in file.demux(video=0) if packet.size]
            # The kill may have cut the last one short; all others are whole.
            assert sum(len(packet.decode()) for packet in packets[:-1]) > 5
