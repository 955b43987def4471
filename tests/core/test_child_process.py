"""Child processes end with their parent, however it ends, and after a time limit. All are real processes."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from fakes.forked import start
from fakes.tiny_engine import make_tiny_engine
from fakes.waiting import wait_until

from tpos_live.core.child_process import ChildError, run_module

SLEEPER = """
import ctypes, signal, subprocess, sys, time
from pathlib import Path

def main(arguments):
    kind, *paths = arguments
    if kind == "fail":
        print("half done")
        print("a warning of a library", file=sys.stderr)
        print("the disk is on fire", file=sys.stderr)
        return 3
    if kind == "ok":
        print("one"), print(), print("two")
        return 0
    if kind == "talk":
        for n in range(20_000):
            print("a line of a library", n)
        return 0
    if kind == "crash":
        signal.raise_signal(signal.SIGSEGV)
    if kind == "watch alone" and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 0)  # as where the kernel does not end children
    if kind == "busy":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    part = Path(paths[0] + ".part")
    part.write_text(f"{__import__('os').getpid()} {below.pid}")
    part.rename(paths[0])
    time.sleep(120)
    return 0
"""
PARENT = """
import signal, sys
from tpos_live.core.child_process import run_module
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background commands begin with SIGINT ignored
run_module("sleeper", sys.argv[1:], 100)
"""


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def gone(pids: list[int]) -> bool:
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


@pytest.mark.parametrize(
    ("kind", "by"), [("sleep", "SIGKILL"), ("watch alone", "SIGKILL"), ("busy", "SIGTERM"), ("busy", "SIGINT")]
)
def test_a_child_ends_with_its_parent(sleeper: Path, kind: str, by: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(sleeper), *filter(None, sys.path)])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, kind, str(sleeper / "pids")], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        assert wait_until((sleeper / "pids").exists, 30), "the child did not start"
        child, below = map(int, (sleeper / "pids").read_text().split())
        assert not gone([child]) and not gone([below])
        parent.send_signal(getattr(signal, by))
        parent.wait(10)
        # Where the kernel ends the child, that one ends nothing; PyTorch's own children look for their parent.
        assert wait_until(lambda: gone([child, below] if kind == "watch alone" else [child]), 10), "it lives on"
    finally:
        parent.kill()
        for pid in map(int, (sleeper / "pids").read_text().split()):
            if not gone([pid]):
                psutil.Process(pid).kill()


@pytest.mark.parametrize("alarm", [True, False])
def test_a_child_has_a_time_limit_of_its_own(alarm: bool) -> None:
    """Also if no parent checks the limit, and on systems without an alarm."""
    code = "import os, signal, sys, time; from tpos_live.core.child_process import end_with_parent; "
    code += "" if alarm else "del signal.alarm; "
    code += "end_with_parent(os.getppid(), 1.0); time.sleep(60)"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], timeout=50, check=False)
    assert done.returncode == (-signal.SIGALRM if alarm else 1) and time.monotonic() - began >= 1.0


def test_a_child_of_no_parent_ends_at_once() -> None:
    code = "import time; from tpos_live.core.child_process import end_with_parent; "
    code += "end_with_parent(2**22 + 1); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", code], timeout=50, check=False).returncode == 1


def test_what_a_child_says(sleeper: Path) -> None:
    lines: list[str] = []
    run_module("sleeper", ["ok"], 60, lines.append)
    assert lines == ["one", "two"]
    with pytest.raises(ChildError, match=r"^the disk is on fire$"):
        run_module("sleeper", ["fail"], 60, lines.append)
    assert lines[2:] == ["half done"]
    with pytest.raises(ChildError, match=r"^ended by signal 11$"):
        run_module("sleeper", ["crash"], 60)
    with pytest.raises(ChildError, match="No module named 'nothing_here'"):
        run_module("nothing_here", [], 60)


def test_a_child_that_takes_too_long_is_ended(sleeper: Path) -> None:
    with pytest.raises(ChildError, match="not done after 1 s"):
        run_module("sleeper", ["sleep", str(sleeper / "pids")], 1)
    pids = sleeper / "pids"
    # SIGKILL is sent, but the kernel ends a grandchild in its own time.
    assert not pids.exists() or wait_until(lambda: gone([int(pid) for pid in pids.read_text().split()]), 10)


def test_a_process_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ChildError, match="No such file"):
        run_module("sleeper", [], 5)


def show(engine: Path, sound: Path, cache: str) -> subprocess.Popen[str]:
    """A show that prepares OpenVINO after its first frame."""
    soundfile.write(sound, np.zeros((48_000 * 5, 1)), 48_000)
    command = ["--headless", "--engine", str(engine), "--audio", str(sound)]
    command += ["--loop", "--mute", "--osc-port", "0", "--no-web", "--seconds", "120", "--fps-cap", "10"]
    command += ["--threads", "1"]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    environment.pop("TPOS_LIVE_CACHE", None)
    return start(*command, cwd=sound.parent, env=environment)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
def test_a_show_goes_on_where_its_cache_cannot_be_written(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    process = show(make_tiny_engine(tmp_path / "engine", "flow"), tmp_path / "a.wav", "/dev/null")
    assert process.stderr is not None
    for line in process.stderr:
        assert "Traceback" not in line
        if "cannot be written" in line:
            break
    assert "/dev/null" in line and "TPOS_LIVE_CACHE" in line
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)  # before, it ended here
    process.terminate()
    assert process.wait(30) == 0 and process.stderr.read() == "tpos-live: stopping …\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
def test_a_converter_ends_with_its_show(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    process = show(make_tiny_engine(tmp_path / "engine", "flow"), tmp_path / "a.wav", str(tmp_path / "cache"))
    children: list[int] = []

    def working() -> bool:
        children[:] = [child.pid for child in psutil.Process(process.pid).children()]
        return bool(children) and any((tmp_path / "cache").glob(f"*/openvino/.making-*-{children[0]}"))

    try:
        # No limit of time: a busy machine may take minutes for what another does in seconds. The show's end is one.
        assert wait_until(lambda: working() or process.poll() is not None, math.inf)
        assert process.poll() is None, "nothing was converted"
    finally:
        process.kill()
        process.wait()
    assert wait_until(lambda: gone(children), 10), "the converter lives on"
    assert any((tmp_path / "cache").glob(f"*/openvino/.making-*-{children[0]}")), "it went on until it was done"


def test_a_line_that_cannot_be_passed_on_does_not_stop_the_child(sleeper: Path, messages: list[str]) -> None:
    """Otherwise its pipe is full, and the child blocks until its time limit."""
    lines = list[str]()

    def fail(line: str) -> None:
        lines.append(line)
        raise RuntimeError("no such handler")

    run_module("sleeper", ["talk"], 60, fail)
    assert len(lines) == 20_000 and len(messages) == 1 and "no such handler" in messages[0]
