"""The real window: what is shown, real keys, two screens; and the same without a display."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.egl import headless_gl
from fakes.waiting import wait_until
from fakes.xvfb import one_screen, press, run, screenshot, two_screens
from images import field, flat, frame

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.status import Status
from tpos_live.display.headless import HeadlessDisplay
from tpos_live.display.open_window import TITLE
from tpos_live.display.window import WAITING, DisplayWindow
from tpos_live.display.window_text import READ


def need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        reason = f"needs {', '.join(missing)}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


class Show:
    """The small show in a process of its own."""

    def __init__(self, display: str, start: dict[str, Any]) -> None:
        self.display = display
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("small_show.py")), json.dumps(start)],
            env={**os.environ, "DISPLAY": display},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer().get("ready")

    def tell(self, command: str = "quiet") -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def press(self, key: str) -> None:
        press(self.display, TITLE, key)

    def wait_end(self, timeout: float) -> bool:
        try:
            return self._process.wait(timeout) == 0
        except subprocess.TimeoutExpired:
            return False

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {}


@contextmanager
def show_on(display: str, **start: Any) -> Iterator[Show]:
    """start: parameters, with __ for the dots; and `screen`."""
    show = Show(display, {name.replace("__", "."): value for name, value in start.items()})
    try:
        yield show
    finally:
        show.end()


@pytest.mark.display
def test_a_real_window_shows_frames_and_takes_keys() -> None:
    need("Xvfb", "xdotool", "import")
    with one_screen() as display, show_on(display) as show:
        assert run(display, "xdotool", "search", "--name", f"^{TITLE}$").strip()
        show.tell("frame 200")
        at = show.tell()["at"]

        def middle() -> float:
            # Above the message at the bottom.
            return float(screenshot(display)[at[1] + 120 : at[1] + 240, at[0] + 200 : at[0] + 440].mean())

        assert wait_until(lambda: abs(middle() - 200) < 3)
        bottom = screenshot(display)[at[1] + 310 : at[1] + 350, at[0] + 100 : at[0] + 540]
        assert bottom.max() > 215  # the performer's message
        show.tell("set out.blackout 1")  # no frame comes any more: the window does this alone
        assert wait_until(lambda: middle() == 0)
        show.tell("set out.blackout 0")
        assert wait_until(lambda: abs(middle() - 200) < 3)
        show.tell("set out.level 0.5")
        assert wait_until(lambda: abs(middle() - 100) < 3)

        # One after the other, as fingers do: a window that is just changing to fullscreen has no focus.
        full = {"f": True, "Escape": False}
        for count, name in enumerate(("h", "f", "Escape", "Escape", "space", "1"), 1):
            show.press(name)
            assert wait_until(lambda count=count: len(show.tell()["keys"]) >= count), name
            if name in full:
                assert wait_until(lambda name=name: show.tell()["full"] == full[name])
                time.sleep(1.0)  # The window is mapped anew, and the key's release may go astray.
        assert show.tell()["keys"] == ["h", "f", "escape", "escape", "space", "_1"]
        assert not show.tell()["full"] and not show.wait_end(0.3)  # Esc never ends a show
        show.press("ctrl+q")
        assert show.wait_end(3)


@pytest.mark.display
def test_the_window_refreshes_without_new_frames() -> None:
    need("Xvfb", "xdotool")
    with one_screen() as display, show_on(display) as show:
        first = show.tell()["shown"]
        time.sleep(1.0)
        assert show.tell()["shown"] > first + 5


@pytest.mark.display
def test_fullscreen_lands_on_the_screen_that_was_asked_for() -> None:
    need("Xorg", "openbox", "xrandr", "xdotool")
    with two_screens() as display, show_on(display) as show:
        assert show.tell()["screens"] == ["0 DUMMY0 (800x450)", "1 DUMMY1 (800x450)"]
        show.tell("set out.screen 1")
        show.tell("set out.fullscreen 1")
        assert wait_until(lambda: show.tell()["full"] and tuple(show.tell()["at"]) == (800, 0))
        assert wait_until(lambda: show.tell()["size"] == [800, 450])
        show.tell("set out.screen 0")
        assert wait_until(lambda: tuple(show.tell()["at"]) == (0, 0))
        show.press("Escape")
        assert wait_until(lambda: not show.tell()["full"])


@pytest.mark.display
def test_full_screen_leaves_the_pointer_where_it_is() -> None:
    """Without a window manager keys go to the window under it: pyglet's corner is outside of the window later."""
    need("Xvfb", "xdotool")
    with one_screen((900, 700)) as display, show_on(display) as show:
        run(display, "xdotool", "mousemove", "200", "100")
        for full in (True, False):
            show.tell(f"set out.fullscreen {int(full)}")
            assert wait_until(lambda: show.tell()["full"] is full)  # noqa: B023
            assert run(display, "xdotool", "getmouselocation").startswith("x:200 y:100 ")


def off(display: str, output: str) -> None:
    run(display, "xrandr", "--output", output, "--off")


def on(display: str, output: str, *where: str) -> None:
    run(display, "xrandr", "--output", output, "--mode", "800x450", *where)


@pytest.mark.display
def test_a_projector_that_goes_gets_its_image_back() -> None:
    need("Xorg", "openbox", "xrandr", "xdotool")
    with two_screens() as display, show_on(display, out__fullscreen=True, out__screen=1) as show:
        show.tell("frame 200")
        assert wait_until(lambda: show.tell()["full"] and tuple(show.tell()["at"]) == (800, 0))
        for count in (1, 2):
            off(display, "DUMMY1")
            assert wait_until(lambda: not show.tell()["full"])
            state = show.tell()
            assert state["screens"] == ["0 DUMMY0 (800x450)"]
            assert "screen DUMMY1 is gone" in state["lines"][-1] and "0 DUMMY0" in state["lines"][-1]
            # A small window on the operator's screen: most of it is free.
            assert wait_until(lambda: show.tell()["size"] == [400, 225])
            assert wait_until(lambda: (screenshot(display)[:450, :800] == 200).all(-1).mean() < 0.3)
            on(display, "DUMMY1", "--right-of", "DUMMY0")
            assert wait_until(lambda: show.tell()["full"] and tuple(show.tell()["at"]) == (800, 0))
            assert "screen DUMMY1 is here" in show.tell()["lines"][-1] and len(show.tell()["lines"]) == 2 * count
        assert wait_until(lambda: (abs(screenshot(display)[:, 800:].astype(int) - 200) < 3).mean() > 0.95)
        # Remembered by its name: on the other side of the desk it is still the same projector.
        off(display, "DUMMY1")
        assert wait_until(lambda: not show.tell()["full"])
        on(display, "DUMMY1", "--left-of", "DUMMY0")
        assert wait_until(lambda: show.tell()["full"] and tuple(show.tell()["at"]) == (0, 0))
        run(display, "xrandr", "--output", "DUMMY1", "--right-of", "DUMMY0")  # moved on the desktop, never away
        assert wait_until(lambda: show.tell()["full"] and tuple(show.tell()["at"]) == (800, 0))
        show.tell("next")
        assert wait_until(lambda: show.tell()["full"] and tuple(show.tell()["at"]) == (0, 0))
        show.tell("set out.fullscreen 0")
        assert wait_until(lambda: not show.tell()["full"] and show.tell()["size"] == [640, 360])
        show.tell("next")
        assert show.tell()["lines"][-1] == "full screen (F) is on screen 1 DUMMY1 (800x450)"


@pytest.mark.display
def test_a_screen_that_is_not_there_is_said_and_not_replaced_by_another() -> None:
    need("Xorg", "openbox", "xrandr", "xdotool")
    with two_screens() as display:
        off(display, "DUMMY1")
        with show_on(display, out__fullscreen=True, screen="dummy1") as show:
            line = show.tell()["lines"][0]
            assert "no screen dummy1" in line and "0 DUMMY0 (800x450)" in line
            assert not show.tell()["full"]
            on(display, "DUMMY1", "--right-of", "DUMMY0")
            assert wait_until(lambda: show.tell()["full"] and tuple(show.tell()["at"]) == (800, 0))
            show.tell("set out.screen 7")
            assert wait_until(lambda: not show.tell()["full"])
            assert "no screen 7" in show.tell()["lines"][-1] and "1 DUMMY1" in show.tell()["lines"][-1]
            show.tell("next")
            assert wait_until(lambda: show.tell()["full"] and tuple(show.tell()["at"]) == (0, 0))


@pytest.mark.display
def test_no_text_reaches_a_full_screen_unless_it_is_asked_for() -> None:
    """Before the first frame and after it, with every text that the window can show."""
    need("Xvfb", "import")
    with one_screen((800, 450)) as display, show_on(display, out__fullscreen=True, finish__grain=0) as show:
        assert wait_until(lambda: show.tell()["full"])

        def seen() -> int:
            return int(screenshot(display).max())

        asks = ("out.messages", "out.hud")
        for parameter in asks:  # the start picture breathes up to 110
            show.tell('message back to "mic": no input is called ANY TEXT')
            assert wait_until(lambda: seen() < 130)  # what was on the screen before may be one refresh more
            show.tell(f"set {parameter} 1")
            assert wait_until(lambda: seen() > 200), parameter
            show.tell(f"set {parameter} 0")
        show.tell("frame 90")
        for parameter in asks:
            show.tell(f"message saved tpos-{parameter}.png")
            assert wait_until(lambda: 88 < seen() < 130)
            show.tell(f"set {parameter} 1")
            assert wait_until(lambda: seen() > 200), parameter
            show.tell(f"set {parameter} 0")
        # A window that only a window manager made as large as the screen has an audience, too.
        show.tell("set out.messages 2")
        show.tell("set out.fullscreen 0")
        show.tell("message no sound")
        assert wait_until(lambda: seen() > 200)
        window = run(display, "xdotool", "search", "--onlyvisible", "--name", f"^{TITLE}$").split()[0]
        run(display, "xdotool", "windowmove", window, "0", "0", "windowsize", window, "800", "450")
        assert wait_until(lambda: seen() < 100)


class Taker:
    """An output that keeps what it gets."""

    name, error, fixed_size = "taker", "", True

    def __init__(self) -> None:
        self.frames: list[tuple[float, np.ndarray]] = []

    def is_available(self) -> str:
        return ""

    def open(self, size: tuple[int, int], fps: float) -> None:
        pass

    def wants(self, now: float) -> bool:
        return True

    def send(self, pixels: np.ndarray, shown_at: float) -> None:
        self.frames.append((shown_at, pixels))

    def close(self) -> None:
        pass


@contextmanager
def stage(kind: str, store: ParameterStore, params: list[FrameParams], **more: Any) -> Iterator[Any]:
    frames = Mailbox[Frame]()
    if kind == "headless":
        with HeadlessDisplay(frames, lambda: params[0], store.snapshot, size=(320, 180), **more) as made:
            yield made, frames
        return
    status = Status(state="running", message="turn up the input", bands=(1, 1, 1, 1), prompt="sea", tempo=120)
    with (
        headless_gl(),
        DisplayWindow(
            frames, lambda: params[0], store.snapshot, lambda: status, size=(320, 180), headless=True, **more
        ) as made,
    ):
        yield made, frames


KINDS = [pytest.param("window", marks=pytest.mark.gl), "headless"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kick_is_seen_at_the_next_refresh(kind: str) -> None:
    store, params = ParameterStore(), [FrameParams()]
    with stage(kind, store, params) as (made, frames):
        frames.put(frame(field(1), 0, 1.0))
        made.step(2.0)
        before = made.read_back()
        params[0] = FrameParams(zoom=0.025)
        made.step(2.001)
        assert np.abs(made.read_back().astype(int) - before).max() > 5


@pytest.mark.gl
def test_a_text_and_a_place_that_fail_leave_the_image(messages: list[str]) -> None:
    """A letter that no font has, a screen that the system refuses: the image must still be shown."""

    def fail(*_: object) -> None:
        raise RuntimeError("no glyph\nfor it")

    store = ParameterStore({"out.hud": True})
    with stage("window", store, [FrameParams()]) as (made, frames):
        frames.put(frame(flat(90), 0, 1.0))
        made._text.hud.draw = made._placement.follow = fail
        for k in range(4):
            made.step(2.0 + k / 60)
        assert made.read_back().mean() > 40
    assert len(messages) == 2 and all("no glyph" in line for line in messages)


@pytest.mark.gl
@pytest.mark.parametrize("fixed", [True, False])
def test_a_file_keeps_its_size_and_other_outputs_follow_the_window(fixed: bool) -> None:
    store, params, taker = ParameterStore(), [FrameParams()], Taker()
    taker.fixed_size = fixed
    with stage("window", store, params) as (made, frames):
        frames.put(frame(flat(90), 0, 1.0))
        made.outputs.append(taker)
        made.step(2.0)
        made._window.get_framebuffer_size = lambda: (640, 360)
        for k in range(6):
            made.step(2.1 + k)
        assert taker.frames[-1][1].shape == ((180, 320, 3) if fixed else (360, 640, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_get_the_image(kind: str) -> None:
    store, params, taker = ParameterStore(), [FrameParams()], Taker()
    with stage(kind, store, params) as (made, frames):
        frames.put(frame(flat(90), 0, 1.0))
        made.step(2.0)
        made.outputs.append(taker)
        for k in range(6):
            made.step(2.1 + k)
        made.step(9.0)
        made.step(9.1)
        assert len(taker.frames) >= 3
        assert [at for at, _ in taker.frames] == sorted(at for at, _ in taker.frames)
        assert all(abs(int(np.median(p)) - 90) <= 1 and p.shape == (180, 320, 3) for _, p in taker.frames)


@pytest.mark.gl
def test_the_start_screen_leaves_time_to_load_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with stage("window", ParameterStore(), [FrameParams()]) as (made, frames):
        for software, started, slow in ((True, False, True), (False, False, True), (True, True, False)):
            if started:
                frames.put(frame(flat(40), 0, 1.0))
            made.software = software
            made.step(2.0)
            pauses.clear()
            left = iter(range(3))
            made.run(lambda left=left: next(left, None) is None)
            assert (len(pauses) == 3 and min(pauses) >= WAITING) == slow
            assert slow or max(pauses, default=0.0) < WAITING


@pytest.mark.gl
def test_hud_and_message_are_on_the_window_but_never_read_back() -> None:
    store, params = ParameterStore(), [FrameParams()]
    with stage("window", store, params) as (made, frames):
        frames.put(frame(flat(40), 0, 1.0))
        made.step(2.0)
        assert made.read_window().max() > 150  # the message
        without = made.read_back()
        store.set("out.hud", True)
        made.step(2.0)
        assert np.array_equal(made.read_back(), without)
        assert (np.abs(made.read_window().astype(int) - without).max(-1) > 30).sum() > 2000
        store.set("out.blackout", True)
        made.step(2.1)
        assert made.read_back().max() == 0


@pytest.mark.gl
def test_a_message_leaves_the_image_to_the_audience_and_comes_back_with_the_hud() -> None:
    store, params = ParameterStore(), [FrameParams()]
    with stage("window", store, params) as (made, frames):
        frames.put(frame(flat(40), 0, 1.0))
        shown = {}
        for now in (2.0, 1.9 + READ, 2.1 + READ):
            made.step(now)
            shown[now] = made.read_window().max() > 150
        assert list(shown.values()) == [True, True, False]
        store.set("out.hud", True)
        made.step(2.2 + READ)
        assert made.read_window()[-40:].max() > 150
