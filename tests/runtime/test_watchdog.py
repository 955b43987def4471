"""The watchdog: what it starts again, which exit status it passes on, and the frame that it keeps."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from fakes.tools import require_tool
from fakes.waiting import wait_until
from fakes.xvfb import is_mapped, one_screen

from tpos_live.core.frame import Frame
from tpos_live.core.settings import Settings
from tpos_live.display.interpolator import DisplayFrame
from tpos_live.display.postfx import PostFxParams
from tpos_live.runtime.frame_memory import FrameMemory
from tpos_live.runtime.last_frame import FrameKeeper, ShownFrame, read_frame, write_frame
from tpos_live.runtime.run_session import settings_of
from tpos_live.runtime.spare_show import EAGER_MODULES
from tpos_live.runtime.still_process import StillProcess, read_commands
from tpos_live.runtime.watchdog import MOST, SAFE, Run, is_available

pytestmark = [pytest.mark.skipif(bool(is_available()), reason=is_available()), pytest.mark.timeout(600)]

_SHOWS = """
import os, signal, sys, time
from pathlib import Path
from tpos_live.core.messages import terminal_messages
from tpos_live.runtime.watchdog import Watchdog
def say(*words):  # a whole line at once: several processes speak
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
with terminal_messages():
    after = 0.0 if sys.argv[4] else 600.0
    # BEFORE
    spare = {"spare_after": after, "prepare": lambda safe: say("spare", os.getpid(), safe)}
    run = Watchdog(Path(sys.argv[1]), window=bool(sys.argv[2]), rest=float(sys.argv[3]), **spare).run()
    if isinstance(run, int):
        heavy = {"numpy", "torch", "pyglet"} & set(sys.modules)
        say("watchdog", run, *heavy)
        os._exit(run)
    say("show", run.deaths, run.safe)
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)
    SHOW
"""


def shows(
    states: Path, show: str, display: str = "", rest: float = 0.2, spare: str = "", before: str = ""
) -> subprocess.Popen[str]:
    """A watchdog whose shows run these lines of Python; they know `run`, `say`, `die`. spare: "yes" for one at once.
    before: lines of the watchdog's own."""
    code = _SHOWS.replace("    SHOW", "\n".join(f"    {line}" for line in show.splitlines()))
    code = code.replace("    # BEFORE", "\n".join(f"    {line}" for line in before.splitlines()))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(states), display, str(rest), spare],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DISPLAY": display},
    )


def ended(process: subprocess.Popen[str]) -> tuple[list[str], str, int]:
    """Its lines, its messages and its exit status. However long it takes: a busy machine needs a minute for these."""
    try:
        out, messages = process.communicate()
    finally:
        process.kill()
    return out.splitlines(), messages, process.returncode


def test_a_killed_show_is_started_again_and_the_third_time_safely(tmp_path: Path) -> None:
    out, messages, status = ended(shows(tmp_path, f"die() if run.deaths < {SAFE} else os._exit(5)"))
    assert out == ["show 0 False", "show 1 False", "show 2 False", "show 3 True", "watchdog 5"] and status == 5
    assert messages.count("SIGKILL") == SAFE and messages.count("Ember on the CPU") == 1


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_a_show_that_ends_by_itself_is_not_started_again(tmp_path: Path, status: int) -> None:
    assert ended(shows(tmp_path, f"os._exit({status})")) == (["show 0 False", f"watchdog {status}"], "", status)


def test_a_signal_without_a_name_is_one_by_number(tmp_path: Path) -> None:
    show = "os.kill(os.getpid(), signal.SIGRTMIN + 5) if not run.deaths else os._exit(5)"
    out, messages, status = ended(shows(tmp_path, show))
    assert out == ["show 0 False", "show 1 False", "watchdog 5"] and status == 5
    assert f"by signal {signal.SIGRTMIN + 5} " in messages and "Traceback" not in messages


@pytest.mark.parametrize("stdout", ["None", "Gone()"])
def test_a_terminal_that_is_gone_ends_no_watchdog(tmp_path: Path, stdout: str) -> None:
    gone = "class Gone:\n    def flush(self): raise BrokenPipeError(32, 'Broken pipe')\n"
    show = "die() if not run.deaths else os._exit(5)"
    out, messages, status = ended(shows(tmp_path, show, before=f"{gone}sys.stdout = {stdout}"))
    assert out == ["show 0 False", "show 1 False", "watchdog 5"] and status == 5 and "Traceback" not in messages


def test_a_show_that_leaves_its_state_has_died(tmp_path: Path) -> None:
    show = f'Path("{tmp_path}", f"show-{{os.getpid()}}.json").touch() if not run.deaths else os._exit(0)\nos._exit(1)'
    out, messages, status = ended(shows(tmp_path, show))
    assert out == ["show 0 False", "show 1 False", "watchdog 0"] and status == 0 and "by an error" in messages


_LOST = """if not run.deaths:
    die()
state = Path(sys.argv[1], f"show-{os.getpid()}.json")
if run.deaths == 3:
    state.touch()
    time.sleep(3)
    state.unlink()
os._exit(1)
"""


def test_a_show_that_cannot_start_after_a_death_is_tried_again(tmp_path: Path) -> None:
    """For example while the driver is not ready. A show that began, and ends with a lost recording, has ended."""
    out, messages, status = ended(shows(tmp_path, _LOST))
    assert out == ["show 0 False", "show 1 False", "show 2 False", "show 3 True", "watchdog 1"] and status == 1
    assert messages.count("by an error") == 2 and "Traceback" not in messages


_LOCKED = """import ctypes
if run.deaths:
    os._exit(5)
while run.memory.beats < 20:
    run.memory.beats += 1
    time.sleep(0.05)
ctypes.PyDLL(None).pause()
"""


def test_a_show_whose_interpreter_a_driver_keeps_locked_is_killed(tmp_path: Path) -> None:
    """A call in C that holds the GIL and does not return: no thread of the show can notice it."""
    quick = "from tpos_live.runtime import watchdog\nwatchdog.HUNG = 3.0"
    out, messages, status = ended(shows(tmp_path, _LOCKED, ":0", before=quick))
    assert out == ["show 0 False", "show 1 False", "watchdog 5"] and status == 5
    assert messages.count("the show has not run for 3 s: it is killed") == 1 and "Traceback" not in messages


_NO_PROCESS = """
real, forks = os.fork, []
def fork():
    forks.append(1)
    if len(forks) in (2, 3):
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return real()
os.fork = fork
"""


def test_a_system_that_gives_no_process_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    """For example after a show was killed because the memory was full."""
    out, messages, status = ended(shows(tmp_path, "die() if not run.deaths else os._exit(5)", before=_NO_PROCESS))
    assert out == ["show 0 False", "show 1 False", "watchdog 5"] and status == 5 and "Traceback" not in messages


def test_a_show_that_lets_the_still_go_closes_no_file_of_its_own(tmp_path: Path) -> None:
    """A file that gets the closed descriptor's number."""
    memory = FrameMemory.create()
    assert memory is not None
    still = StillProcess(memory, time.monotonic)
    process = still._process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, bufsize=0)
    number = process.stdin.fileno()  # type: ignore[union-attr]
    still.let_go()
    process.wait(20)
    with (tmp_path / "own").open("w") as own:
        os.dup2(own.fileno(), number)
    still._process = process = None  # type: ignore[assignment]
    os.write(number, b"still open")
    os.close(number)
    assert (tmp_path / "own").read_text() == "still open"


def test_a_still_that_cannot_be_started_ends_no_watchdog(tmp_path: Path) -> None:
    show = f"{_FRAME}die() if not run.deaths else os._exit(5)"
    out, messages, status = ended(shows(tmp_path, show, ":0", before="sys.executable = '/nowhere/python'"))
    assert out == ["show 0 False", "show 1 False", "watchdog 5"] and status == 5
    assert messages.count("no window can keep the last frame") == 1 and "Traceback" not in messages


def test_a_watchdog_behind_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    before = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    show = "if run.deaths:\n    os._exit(5)\nos.kill(os.getppid(), signal.SIGHUP)\ntime.sleep(0.3)\ndie()"
    out, _messages, status = ended(shows(tmp_path, show, before=before))
    assert out == ["show 0 False", "show 1 False", "watchdog 5"] and status == 5


_ENDS = """gone = Path(sys.argv[1], "gone")
signal.signal(signal.SIGTERM, lambda *_: None)
say("runs")
for _ in range(1000):
    if gone.exists():
        os._exit(5)
    time.sleep(0.02)
"""


def test_the_still_ends_while_the_show_does_and_is_not_started_again(tmp_path: Path) -> None:
    still = tmp_path / "still"
    still.write_text(f"#!/bin/sh\n>{tmp_path}/began\ncat\n>{tmp_path}/gone\n")
    still.chmod(0o755)
    process = shows(tmp_path, _FRAME + _ENDS, ":0", before=f"sys.executable = '{still}'")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["show 0 False\n", "runs\n"]
    assert wait_until((tmp_path / "began").exists, 30.0)
    process.terminate()
    out, messages, status = ended(process)
    assert out == ["watchdog 5"] and status == 5 and messages == ""


def test_a_show_that_always_dies_is_given_up(tmp_path: Path) -> None:
    out, messages, status = ended(shows(tmp_path, "die()"))
    assert len(out) == MOST + 1 and status == 128 + signal.SIGKILL and "not started again" in messages.splitlines()[-1]


_FRAME = """
import numpy as np
from tpos_live.core.frame import Frame
from tpos_live.display.interpolator import DisplayFrame
from tpos_live.display.postfx import PostFxParams
from tpos_live.runtime.last_frame import FrameKeeper, ShownFrame, write_frame
pixels = np.zeros((48, 64, 3), np.uint8)
write_frame(run.memory, ShownFrame(Frame(pixels, -1, 0.0, 0.0, 0.0), PostFxParams(), (0, 0, 64, 48)))
time.sleep(0.2)
"""


@pytest.mark.display
def test_while_a_frame_is_shown_a_show_that_always_dies_is_tried_again(tmp_path: Path) -> None:
    require_tool("Xvfb")
    with one_screen((160, 120)) as display:
        show = f"{_FRAME}die() if run.deaths < {MOST} else os._exit(5)"
        out, messages, status = ended(shows(tmp_path, show, display))
        assert len(out) == MOST + 2 and status == 5, messages
        assert "the last frame stays, and it is started again" in messages.splitlines()[-1]
        process = shows(tmp_path, f"{_FRAME}die()", display, rest=600.0)
        assert process.stdout is not None and process.stderr is not None
        for _ in range(MOST):
            assert process.stdout.readline().startswith("show")
        assert any("it is started again in 600 s" in line for line in process.stderr)
        process.terminate()
        out, _messages, status = ended(process)
        assert out == ["watchdog 0"] and status == 0, "a signal ends the wait"


def still_of(watchdog: subprocess.Popen[str]) -> psutil.Process | None:
    for child in psutil.Process(watchdog.pid).children():
        with suppress(psutil.Error):  # it has just ended
            if "tpos_live.runtime.still_window" in child.cmdline():
                return child
    return None


@pytest.mark.display
@pytest.mark.parametrize("rests", [False, True])
def test_a_still_that_dies_is_started_again(tmp_path: Path, rests: bool) -> None:
    """While a show runs, and while none runs for half a minute: else the desktop would be visible."""
    require_tool("Xvfb", "xdotool")
    with one_screen((160, 120)) as display:
        show = f"{_FRAME}die()" if rests else f"{_FRAME}time.sleep(600)"
        process = shows(tmp_path, show, display, rest=600.0)
        for _ in range(MOST if rests else 1):
            assert process.stdout is not None and process.stdout.readline().startswith("show")
        assert wait_until(lambda: is_mapped(display, "tpos-live still"), 30.0)
        first = still_of(process)
        assert first is not None
        time.sleep(1.0)
        first.kill()
        assert wait_until(lambda: (still_of(process) or first).pid != first.pid, 20.0)
        assert wait_until(lambda: is_mapped(display, "tpos-live still"), 30.0)
        process.terminate()
        _, messages, _ = ended(process)
        assert messages.count("the process that keeps the last frame has ended") == 1 and "Traceback" not in messages


def test_a_still_that_always_dies_is_started_more_and_more_seldom(
    monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    memory, now, started = FrameMemory.create(), [0.0], list[float]()
    write_frame(memory, frame(1))
    still, start = StillProcess(memory, lambda: now[0]), subprocess.Popen

    def popen(command: list[str], **how: Any) -> Any:
        started.append(now[0])
        return start(["false"], **how)

    monkeypatch.setattr(subprocess, "Popen", popen)
    for second in range(700):
        now[0] = float(second)
        still.look_after()
        assert not still.runs or wait_until(lambda: not still.runs)
    assert started == [0, 5, 15, 35, 75, 155, 315, 635]
    assert sum("started again" in line for line in messages) == len(started)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_show_once_and_ends_both(tmp_path: Path, number: int) -> None:
    process = shows(
        tmp_path,
        f"got = []\nsignal.signal({int(number)}, lambda *_: got.append(1))\nsay('ready')\n"
        "while not got: time.sleep(0.01)\ntime.sleep(0.2)\nos._exit(40 + len(got))",
    )
    assert process.stdout is not None
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    os.kill(process.pid, number)
    assert ended(process) == (["watchdog 41"], "", 41)


_NEXT = "say(os.getpid())\ntime.sleep(0.5)\n"


def test_the_spare_becomes_the_next_show_and_knows_the_deaths(tmp_path: Path) -> None:
    out, messages, status = ended(shows(tmp_path, f"{_NEXT}die() if run.deaths < {SAFE} else os._exit(5)", spare="yes"))
    spares = [line.split()[1] for line in out if line.startswith("spare")]
    ran = [line for line in out if line.isdigit()]
    assert [line[5:] for line in out if line.startswith("show")] == ["0 False", "1 False", "2 False", "3 True"]
    assert len(ran) == SAFE + 1 and ran[1:] == spares[:SAFE] and status == 5, (out, messages)
    safe = [line.split()[2] for line in out if line.startswith("spare")]
    assert safe[:SAFE] == ["False", "False", "True"], "it has imported what its show needs"


@pytest.mark.parametrize("spare", ["", "yes"])
def test_a_show_knows_whose_state_it_continues(tmp_path: Path, spare: str) -> None:
    """The state of the last show that had one: the second show died before it wrote a state."""
    show = 'say("left", os.getpid(), run.left)\nsay("token", run.token)\n'
    show += 'if not run.deaths:\n    Path(sys.argv[1], f"show-{os.getpid()}.json").touch()\n'
    show += f"{_NEXT if spare else ''}die() if run.deaths < 2 else os._exit(5)"
    out, messages, status = ended(shows(tmp_path, show, spare=spare))
    (first, none), (_, one), (_, other) = (line.split()[1:] for line in out if line.startswith("left"))
    assert none == "0" and one == other == first and status == 5, (out, messages)
    tokens = [line.split()[1] for line in out if line.startswith("token")]
    assert len(tokens) == 3 and len(set(tokens)) == 1, "pages that are open on the network come back"


def test_a_show_that_follows_a_death_has_a_spare_once_it_draws(tmp_path: Path) -> None:
    """The first show has none yet, nor has the second one, which dies before it draws. A show may count its frames
    before the watchdog runs again."""
    late = "fork = os.fork\nos.fork = lambda: [pid := fork(), time.sleep(0.2 if pid else 0.0)][0]\n"
    draw = "say(os.getpid())\nrun.memory.drawn = 60 if run.deaths != 1 else 0\ntime.sleep(1.5)\n"
    show = f"{draw}die() if run.deaths < 3 else os._exit(5)"
    out, messages, status = ended(shows(tmp_path, show, ":none", before=late))
    spares = [line.split()[1] for line in out if line.startswith("spare")]
    first, second, third, fourth = (line for line in out if line.isdigit())
    assert status == 5 and spares[0] == fourth and not {first, second, third} & set(spares), (out, messages)


def test_a_spare_that_was_killed_is_done_without(tmp_path: Path) -> None:
    kill = "import psutil\n[each.kill() for each in psutil.Process(os.getppid()).children() if each.pid != os.getpid()]"
    show = f"{_NEXT}{kill}\ntime.sleep(0.2)\ndie() if run.deaths < 2 else os._exit(5)"
    out, messages, status = ended(shows(tmp_path, show, spare="yes"))
    spares = {line.split()[1] for line in out if line.startswith("spare")}
    assert len(spares) == 3 and not spares & {line for line in out if line.isdigit()} and status == 5, (out, messages)


def test_a_spare_for_a_safe_show_imports_the_classes_that_draw() -> None:
    import torch

    from tpos_live.core.paths import shipped
    from tpos_live.diffusion.model.networks import Networks

    loaded = Networks(shipped("engines") / "ember", "AutoencoderPixelShuffle", torch.device("cpu"), []).load()
    assert {type(module).__module__ for module in loaded.values()} == set(EAGER_MODULES)


def test_the_spare_ends_with_the_watchdog(tmp_path: Path) -> None:
    process = shows(tmp_path, "time.sleep(1.0)\nos._exit(0)", spare="yes")
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith("spare"):
        assert process.poll() is None
    process.kill()
    assert wait_until(lambda: not psutil.pid_exists(int(line.split()[1])), 5.0)
    process.communicate(timeout=10)


def test_two_commands_at_once_are_both_read() -> None:
    """Else the second one stays in a buffer, and the still stays above the show."""
    mine, other = os.pipe()
    assert read_commands(mine, 0.0) == []
    os.write(other, b"show\nhide\n")
    assert read_commands(mine, 0.0) == ["show", "hide"] and read_commands(mine, 0.0) == []
    os.close(other)
    assert read_commands(mine, 0.0) is None
    os.close(mine)


def test_a_show_that_a_signal_ends_on_purpose_stays_ended(tmp_path: Path) -> None:
    process = shows(tmp_path, "time.sleep(60)")
    assert process.stdout is not None and process.stdout.readline()
    process.terminate()
    assert ended(process)[2] == 128 + signal.SIGTERM


def frame(value: int, size: tuple[int, int] = (64, 48)) -> ShownFrame:
    pixels = np.full((size[1], size[0], 3), value, np.uint8)
    postfx = PostFxParams(zoom=1.0 + value / 100, pan_new=(0.1, -0.2), fit="mirror", blackout=value == 3)
    return ShownFrame(Frame(pixels, -1, 0.0, 0.0, 0.0, detail=0.25), postfx, (value, 20, 640, 360))


@pytest.mark.display
def test_the_still_is_away_while_the_shows_window_is_closed() -> None:
    """Else an old image would stay when the performer closes the window."""
    require_tool("Xvfb", "xdotool")
    memory = FrameMemory.create()
    with one_screen((800, 450)) as display:
        write_frame(memory, frame(1))
        command = [sys.executable, "-m", "tpos_live.runtime.still_window", str(memory.descriptor)]
        still = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[memory.descriptor], env={**os.environ, "DISPLAY": display}
        )
        try:
            assert wait_until(lambda: is_mapped(display, "tpos-live still"), 30.0)
            for hidden in (True, False, True):
                write_frame(memory, replace(frame(1), hidden=hidden))
                assert wait_until(lambda hidden=hidden: is_mapped(display, "tpos-live still") != hidden)  # type: ignore[misc]
            assert still.stdin is not None
            still.stdin.write(b"show\n")  # the show has died, and the next one has its window
            still.stdin.flush()
            assert wait_until(lambda: is_mapped(display, "tpos-live still"))
        finally:
            still.kill()
            still.communicate()


def test_a_frame_is_read_as_it_was_written() -> None:
    memory = FrameMemory.create()
    assert read_frame(memory) is None and memory.count == 0
    for value in range(5):
        shown = frame(value, (64 + value, 48))
        assert write_frame(memory, shown) and memory.count == value + 1
        found = read_frame(FrameMemory(memory.descriptor))
        assert found is not None and (found.postfx, found.place) == (shown.postfx, shown.place)
        assert np.array_equal(found.frame.pixels, shown.frame.pixels) and found.frame.detail == 0.25
    assert not memory.write(b"", memoryview(bytes(60 * 2**20))) and memory.count == 5


def test_frames_of_the_shows_own_engine_are_counted() -> None:
    """The frame that the previous show has left does not count."""
    memory, left = FrameMemory.create(), frame(7)
    shown = [DisplayFrame(left.postfx, left.frame)]
    with FrameKeeper(memory, lambda: replace(shown[0]), lambda: (0, 0, 640, 360)):
        assert wait_until(lambda: memory.count > 2) and memory.drawn == 0
        shown[0] = replace(shown[0], newest=replace(left.frame, index=0))
        assert wait_until(lambda: memory.drawn > 2)


def test_a_frame_that_cannot_be_kept_does_not_end_the_heartbeat() -> None:
    """Without a heartbeat the watchdog would kill a healthy show."""
    memory, asked = FrameMemory.create(), [0]

    def place() -> tuple[int, int, int, int]:
        asked[0] += 1
        if asked[0] < 3:
            raise OSError("no display")
        return (0, 0, 640, 360)

    left = frame(7)
    with FrameKeeper(memory, lambda: DisplayFrame(left.postfx, left.frame), place):
        assert wait_until(lambda: memory.count > 1) and memory.beats > 3


def write_on(memory: FrameMemory, begun: Event) -> None:
    value = 0
    while True:
        value = (value + 1) % 200
        write_frame(memory, frame(value, (960, 540)))
        begun.set()


def test_a_process_killed_while_it_writes_leaves_a_whole_frame() -> None:
    context = multiprocessing.get_context("fork")
    for k in range(20):
        memory, begun = FrameMemory.create(), context.Event()
        child = context.Process(target=write_on, args=(memory, begun), daemon=True)
        child.start()
        assert begun.wait(20)
        time.sleep(0.001 * k)
        child.kill()
        child.join(10)
        found = read_frame(memory)
        assert found is not None
        value = found.place[0]
        assert (found.frame.pixels == value).all() and found.postfx.zoom == 1.0 + value / 100


def test_a_show_after_deaths_resumes_and_is_safe_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    settings = Settings()
    assert settings_of(settings, Run(0, False, None)) == settings
    again = settings_of(settings, Run(1, False, None))
    assert again.show.resume and again.engine == settings.engine and "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    safe = settings_of(settings, Run(3, True, None))
    assert (safe.engine.name, safe.engine.accelerator, os.environ["CUDA_VISIBLE_DEVICES"]) == ("ember", "eager", "")


_LISTENING = """
from contextlib import ExitStack
from tpos_live.control import osc_server
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.port_claims import PortClaims
from tpos_live.core.status import Status
osc_server.RETRY_SECONDS = 0.05
def wait_until(true):
    while not true():
        time.sleep(0.01)
        if os.getppid() != run.watchdog:
            os._exit(9)
def wait_for(name):
    wait_until(Path(sys.argv[1], name).exists)
def listen(port):
    claims = PortClaims(Path(sys.argv[1]), run.watchdog)
    return osc_server.OscControl(ParameterStore(), Status, port=port, reply=[("127.0.0.1", 9)], claims=claims)
"""
_FIRST = """
if run.deaths:
    say("down")
    Path(sys.argv[1], "down").touch()
    wait_for("up")
with listen(PORT) as osc:
    say("port", osc.port)
    wait_for("end" if run.deaths else "die")
    if not run.deaths:
        die()
os._exit(0)
"""
_SECOND = """
wait_for("down")
with listen(PORT) as osc:
    say("port", osc.port)
    wait_until(lambda: osc.port)
    say("port", osc.port)
os._exit(0)
"""


def test_another_show_leaves_a_show_its_port_while_that_starts_again(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first, second = (shows(tmp_path, (_LISTENING + show).replace("PORT", str(port))) for show in (_FIRST, _SECOND))
    try:
        assert first.stdout is not None
        lines = iter(first.stdout.readline, "")
        assert f"port {port}\n" in lines
        (tmp_path / "die").touch()
        assert "down\n" in lines
        assert second.stdout is not None and second.stderr is not None
        assert "port 0\n" in iter(second.stdout.readline, "")
        said = second.stderr.readline()
        time.sleep(0.2)  # the second one tries again meanwhile
        (tmp_path / "up").touch()
        assert next(lines) == f"port {port}\n", "it has its port again"
        (tmp_path / "end").touch()
        _, messages, _ = ended(first)
        out, rest, status = ended(second)
    finally:
        first.kill()
        second.kill()
    assert f"other shows leave it port {port}" in messages and "Traceback" not in messages
    assert f"no OSC: port {port} is kept for another show, which starts again after a crash" in said
    assert status == 0 and out[0] == f"port {port}" and rest.splitlines() == [f"OSC on 127.0.0.1:{port}"]
