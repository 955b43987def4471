"""A whole show in a process of its own: a window, keys, OSC, a microphone, a recording."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fakes.fake_mic import fake_microphone, require_fake_microphone, sine
from fakes.forked import start
from fakes.screen_saver import Saver
from fakes.tools import require_tool
from fakes.waiting import wait_until
from fakes.xvfb import one_screen, press, screenshot
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer
from pythonosc.udp_client import SimpleUDPClient

from tpos_live.audio.demo import DEMO
from tpos_live.core.show_file import read_show

TITLE = "tpos-live output"
EAGER = ("--accelerator", "eager", "--threads", "1")
"""One test has the threads that a show takes by itself, and prepares a faster backend meanwhile. Other tests need the
second core, and threads that wait for each other beside them cost much more than they save."""


class Watcher:
    """Receives the show's feedback: the newest value of every address."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.at: dict[str, float] = {}
        dispatcher = Dispatcher(strict_timing=False)
        dispatcher.set_default_handler(self._got)
        self._server = BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _got(self, address: str, *values: Any) -> None:
        self.values[address] = values[0] if values else None
        self.at[address] = time.monotonic()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, address: str, right: Callable[[Any], bool], seconds: float = 60.0) -> Any:
        """The value of an address once it is right."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.values.get(address)
            if value is not None and right(value):
                return value
            time.sleep(0.02)
        raise AssertionError(f"{address} is {self.values.get(address)!r} after {seconds} s")


class Running:
    """A show in another process."""

    def __init__(self, process: subprocess.Popen[str], osc: SimpleUDPClient, watcher: Watcher) -> None:
        self.process, self.osc, self.watcher = process, osc, watcher

    def wait_running(self) -> None:
        self.watcher.wait("/tpos/status/state", lambda state: state == "running", 90)
        self.watcher.wait("/tpos/status/fps", lambda fps: fps > 0, 60)

    def end(self, number: int = signal.SIGINT) -> float:
        """Ask the show to end; the seconds that took."""
        begin = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - begin


@contextmanager
def show(*arguments: str, cwd: Path, port: int, display: str = "") -> Iterator[Running]:
    watcher = Watcher()
    environment = {**os.environ, "DISPLAY": display} if display else dict(os.environ)
    if not display:
        environment.pop("DISPLAY", None)
    arguments += ("--no-web", "--osc-port", str(port), "--osc-reply", f"127.0.0.1:{watcher.port}")
    process = start(*arguments, cwd=cwd, env=environment, fork=not display)  # in a window as a person starts it
    try:
        yield Running(process, SimpleUDPClient("127.0.0.1", port), watcher)
    finally:
        if process.poll() is None:
            process.kill()
        _out, errors = process.communicate(timeout=20)
        watcher.close()
        assert "Traceback" not in errors, errors


def streams(path: Path) -> tuple[int, float, float]:
    """(frames, seconds of video, seconds of sound) of a video that must be playable."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        frames = sum(1 for _ in container.decode(video))
        container.seek(0)
        samples = sum(frame.samples for frame in container.decode(audio))
        return frames, frames / float(video.average_rate or 30), samples / audio.rate


@pytest.mark.display
@pytest.mark.slow
def test_a_show_in_a_window(tmp_path: Path) -> None:
    """Start screen at once, frames, keys, blackout by key, no HUD in the recording; Ctrl-C completes the recording."""
    require_tool("Xvfb", "xdotool", "import")
    out = tmp_path / "show.mp4"
    with (
        one_screen((640, 360)) as display,
        show("demo", "--mute", "--record", str(out), "--size", "256", cwd=tmp_path, port=9310, display=display) as run,
    ):
        run.watcher.wait("/tpos/status/state", lambda state: state in ("loading", "running"), 15)
        run.wait_running()
        assert np.ptp(screenshot(display)) > 30
        assert run.watcher.values["/tpos/status/engine"] == "ember"
        assert run.watcher.values["/tpos/status/accelerator"] in ("eager", "openvino")

        press(display, TITLE, "b")
        run.watcher.wait("/tpos/out/blackout", bool, 10)
        assert wait_until(lambda: screenshot(display).max() == 0)
        press(display, TITLE, "b")
        assert wait_until(lambda: screenshot(display).max() > 30)

        press(display, TITLE, "h")
        run.watcher.wait("/tpos/out/hud", bool, 10)
        press(display, TITLE, "Escape")
        time.sleep(0.5)
        assert run.process.poll() is None, "Esc must never close a show"

        run.osc.send_message("/tpos/prompt", ["lava", "at", "night"])
        run.watcher.wait("/tpos/status/prompt", lambda text: text == "lava at night", 10)
        assert run.end() < 3.0
        assert run.process.returncode == 0
    frames, seen, heard = streams(out)
    assert frames > 30
    assert abs(seen - heard) < 0.3
    assert not list(tmp_path.glob("*.part.mp4"))


@pytest.mark.display
@pytest.mark.slow
def test_closing_the_window_ends_the_show(tmp_path: Path) -> None:
    """A missing screen is logged, and the screen saver is inhibited."""
    require_tool("Xvfb", "xdotool", "import", "xset")
    with (
        one_screen((320, 180)) as display,
        closing(Saver(display)) as saver,
        show("demo", "--mute", "--screen", "3", *EAGER, cwd=tmp_path, port=9311, display=display) as run,
    ):
        run.watcher.wait("/tpos/status/error", lambda line: "no screen 3" in line and "(320x180)" in line, 30)
        assert wait_until(lambda: not saver.is_on())
        # On a busy machine the saver may come on once before the show has got hold of it.
        assert wait_until(lambda: saver.stays_off(2.5), 30)
        run.wait_running()
        press(display, TITLE, "ctrl+q")
        run.process.wait(5)
        assert run.process.returncode == 0


@pytest.mark.audio
@pytest.mark.slow
def test_a_microphone_that_stalls_and_comes_back(tmp_path: Path) -> None:
    """Headless, recorded: frames continue while the device is away, and follow its sound when it is back."""
    require_fake_microphone()
    out = tmp_path / "mic.mp4"
    with fake_microphone() as mic:
        mic.play(np.tile(sine(110.0, 1.0), 60))
        arguments = ["--device", mic.device, "--headless", "--record", str(out), "--size", "256", *EAGER]
        with show(*arguments, cwd=tmp_path, port=9312) as run:
            run.wait_running()
            began = time.monotonic()
            run.watcher.wait("/tpos/status/bass", lambda level: level > 0.2, 20)
            mic.suspend()
            run.watcher.wait("/tpos/status/sound", lambda text: not text.startswith("running"), 15)
            run.watcher.wait("/tpos/status/error", lambda text: mic.device in text, 15)
            away = time.monotonic()
            while time.monotonic() - away < 2.0:  # frames go on, all the time that it is away
                run.watcher.values.pop("/tpos/status/fps")
                run.watcher.wait("/tpos/status/fps", lambda fps: fps > 1, 10)
            mic.resume()
            run.watcher.wait("/tpos/status/sound", lambda text: text.startswith("running"), 30)
            run.watcher.wait("/tpos/status/bass", lambda level: level > 0.2, 20)
            lasted = time.monotonic() - began
            assert run.end(signal.SIGTERM) < 3.0
    _, seen, heard = streams(out)
    assert seen > 0.8 * lasted, "every second is in the recording, the stalled ones too"
    assert abs(seen - heard) < 0.3


@pytest.mark.slow
def test_osc_is_heard_while_the_engine_loads_and_a_file_ends_the_show(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "short.wav", np.zeros((48_000 * 4, 2), np.float32), 48_000)
    with show("--audio", "short.wav", "--mute", "--headless", *EAGER, cwd=tmp_path, port=9313) as run:
        run.watcher.wait("/tpos/status/alive", lambda value: True, 15)
        for _ in range(50):  # until its port is open
            run.osc.send_message("/tpos/strength", 0.5)
            if run.watcher.values.get("/tpos/strength") or run.process.poll() is not None:
                break
            time.sleep(0.1)
        run.process.wait(60)
        assert run.process.returncode == 0


def test_a_show_without_a_display_says_what_to_do(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    result = subprocess.run(
        [sys.executable, "-m", "tpos_live"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert "--headless" in result.stderr and len(result.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_live_show_tells_what_it_understands(tmp_path: Path) -> None:
    """Offline and live share the code: once, only stills reported it."""
    import soundfile

    soundfile.write(tmp_path / "long.wav", np.zeros((48_000 * 300, 1), np.float32), 48_000)
    with show("--audio", "long.wav", "--mute", "--headless", "--size", "256", *EAGER, cwd=tmp_path, port=9324) as run:
        run.wait_running()
        run.watcher.wait("/tpos/status/understood", lambda line: line.startswith("underwater"), 20)
        run.osc.send_message("/tpos/prompt", "neon samurai in a city at night")
        line = run.watcher.wait("/tpos/status/understood", lambda line: line.startswith("city at night"), 20)
        assert "not understood: samurai" in line
        assert run.end() < 5.0


@pytest.mark.slow
def test_looks_are_stored_and_recalled_and_kept_and_the_director_tells_its_section(tmp_path: Path) -> None:
    """By OSC from another process; before the engine has loaded, too."""
    options = ["--headless", "--audio", str(DEMO), "--loop", "--mute", "--prompt", "sea", "--show-file", "set.toml"]
    with show(*options, *EAGER, cwd=tmp_path, port=9437) as running:
        watcher, osc = running.watcher, running.osc
        watcher.wait("/tpos/status/state", lambda state: state in ("loading", "running"))
        osc.send_message("/tpos/look/fade", 0.0)
        osc.send_message("/tpos/finish/bloom", 0.9)
        osc.send_message("/tpos/look/store", "First one")
        watcher.wait("/tpos/status/look", lambda name: name == "First one")
        osc.send_message("/tpos/prompt", "blazing flames")
        osc.send_message("/tpos/finish/bloom", 0.1)
        watcher.wait("/tpos/finish/bloom", lambda value: abs(value - 0.1) < 1e-3)
        osc.send_message("/tpos/look/recall", "first ONE")
        watcher.wait("/tpos/finish/bloom", lambda value: abs(value - 0.9) < 1e-3)
        watcher.wait("/tpos/status/prompt", lambda text: text == "sea")
        watcher.wait("/tpos/status/section", lambda name: name not in ("", "silence"))
        osc.send_message("/tpos/director", 0)
        watcher.wait("/tpos/status/section", lambda name: name == "")
        running.end()
    assert [look.name for look in read_show(tmp_path / "set.toml").looks] == ["First one"]
