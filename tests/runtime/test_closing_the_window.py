"""A real show whose output window is closed: recording and outputs go on where something can open it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tools import require_tool
from fakes.waiting import wait_until
from fakes.xvfb import is_mapped, one_screen, press, press_close, screenshot, two_screens
from test_live_session import EAGER, TITLE, show

from tpos_live.audio.demo import DEMO

pytestmark = [pytest.mark.display, pytest.mark.slow]

SHOW = ("--audio", str(DEMO), "--loop", "--mute", "--size", "64", "--prompt", "a bright sunrise", *EAGER)
WINDOW = '[window]\nsize = "320x180"\n'


def test_the_show_and_its_recording_go_on_without_their_window(tmp_path: Path) -> None:
    require_tool("Xorg", "openbox", "xrandr", "xdotool")
    (tmp_path / "config.toml").write_text(WINDOW)
    part = tmp_path / "a.part.mp4"
    with (
        two_screens() as display,
        show(*SHOW, "--record", "a.mp4", cwd=tmp_path, port=9312, display=display) as run,
    ):
        assert wait_until(lambda: part.exists() and part.stat().st_size > 0, 60.0)
        press_close(display, TITLE)
        assert wait_until(lambda: not is_mapped(display, TITLE))
        size = part.stat().st_size
        assert wait_until(lambda: part.stat().st_size > size + 10_000, 60.0)
        run.osc.send_message("/tpos/out/window", 1)
        assert wait_until(lambda: is_mapped(display, TITLE) and screenshot(display).max() > 90)
        press(display, TITLE, "ctrl+q")
        _, messages = run.process.communicate(timeout=60)
    assert run.process.returncode == 0 and "Traceback" not in messages, messages
    assert (tmp_path / "a.mp4").exists()
    lines = [line for line in messages.splitlines() if "the window is closed" in line]
    assert len(lines) == 1 and "/tpos/out/window 1" in lines[0] and "Ctrl-C" in lines[0] and "page" not in lines[0]


def test_a_window_that_nothing_could_open_again_ends_the_show(tmp_path: Path) -> None:
    require_tool("Xvfb", "xdotool")
    with one_screen((400, 300)) as display, show(*SHOW, cwd=tmp_path, port=0, display=display) as run:
        assert wait_until(lambda: is_mapped(display, TITLE), 60.0)
        press_close(display, TITLE)
        _, messages = run.process.communicate(timeout=30)
    assert run.process.returncode == 0 and "the window is closed" not in messages, messages


def test_closing_its_window_ends_the_demo(tmp_path: Path) -> None:
    require_tool("Xvfb", "xdotool")
    with one_screen((400, 300)) as display, show("demo", "--mute", cwd=tmp_path, port=9313, display=display) as run:
        assert wait_until(lambda: is_mapped(display, TITLE), 60.0)
        press_close(display, TITLE)
        _, messages = run.process.communicate(timeout=60)
    assert run.process.returncode == 0 and "the window is closed" not in messages, messages
