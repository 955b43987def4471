"""An X server that ends during a show: the recording is complete, and a line says why the show has ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import av
import pytest
from fakes.forked import start
from fakes.tools import require_tool
from fakes.xvfb import one_screen_and_server

from tpos_live.audio.demo import DEMO

pytestmark = [pytest.mark.display, pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="X11")]

TIMES = 6
_WINDOW = """
import sys, time
from tpos_live.display.lost_display import on_display_lost
from tpos_live.display.open_window import open_window
def finish():
    print("finished", flush=True)
with on_display_lost(finish):
    window = open_window((160, 90))
    print("open", flush=True)
    while True:
        window.dispatch_events()
        window.clear()
        window.flip()
        time.sleep(float(sys.argv[1]))
"""


def frames_in(path: Path) -> int:
    """Whole frames of a file that may still be written, or not be there yet."""
    count = 0
    with suppress(OSError, av.FFmpegError), av.open(str(path)) as file:
        for _ in file.decode(video=0):
            count += 1
    return count


@pytest.mark.timeout(600)  # and no other limit: a busy machine takes minutes for what takes seconds
def test_the_recording_is_finished_and_the_reason_said(tmp_path: Path) -> None:
    require_tool("Xvfb")
    arguments = ["--audio", str(DEMO), "--mute", "--no-web", "--osc-port", "0", "--size", "64", "--record", "a.mp4"]
    arguments += ["--accelerator", "eager", "--threads", "1"]
    part = tmp_path / "a.part.mp4"
    with one_screen_and_server((320, 180)) as (display, server):
        environment = {**os.environ, "DISPLAY": display, "TPOS_LIVE_STATE": str(tmp_path / "state")}
        process = start(*arguments, cwd=tmp_path, env=environment, fork=False)
        try:
            while (before := frames_in(part)) < 3 and process.poll() is None:
                time.sleep(0.1)
            server.kill()
            _out, errors = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 1 and "Traceback" not in errors, errors
    assert "the display is gone" in errors and "recorded a.mp4" in errors, errors
    assert not part.exists() and list((tmp_path / "state").glob("show-*.json")), "--resume continues it"
    assert frames_in(tmp_path / "a.mp4") >= before
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert (file.duration or 0) > 100_000


def test_whatever_call_notices_what_is_to_be_finished_is_finished_once() -> None:
    """Each time at another moment of a frame."""
    require_tool("Xvfb")
    for number in range(TIMES):
        with one_screen_and_server((160, 90)) as (display, server):
            window = subprocess.Popen(
                [sys.executable, "-c", _WINDOW, str(0.002 * (number % 3))],
                env={**os.environ, "DISPLAY": display}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert window.stdout is not None and window.stdout.readline() == "open\n"
            time.sleep(0.003 * number)
            server.kill()
            out, errors = window.communicate(timeout=20)
        assert (out, window.returncode) == ("finished\n", 1), errors
