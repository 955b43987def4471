"""Screen windows: outputs on screens of their own beside the output window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes.tools import require_tool
from fakes.waiting import wait_until
from fakes.xvfb import is_mapped, press, press_close, run, screenshot, two_screens
from images import field, frame
from test_window import Show, off, on, show_on, stage

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.output_names import parse_output
from tpos_live.core.output_view import OutputView
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE, WALLS
from tpos_live.display.open_window import TITLE
from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.screen_window import ScreenWindow, ScreenWindows
from tpos_live.display.screens import Screen
from tpos_live.display.window_view import wall_view, window_view

SCREEN = (800, 450)
PLAIN = {"finish__grain": 0, "finish__detail": 0, "out__messages": 0}


def shows(show: Show, side: int, *greys: int) -> bool:
    """Whether a screen is of these two greys, left and right, with nothing over them."""
    there = screenshot(show.display)[:, side * SCREEN[0] : (side + 1) * SCREEN[0]].astype(int)
    parts = there[20:-20, 50:300], there[20:-20, -300:-50]
    return all(np.abs(part - grey).max() <= 3 for part, grey in zip(parts, greys, strict=True))


@pytest.mark.display
def test_a_wall_of_two_screens_shows_one_image_without_the_window() -> None:
    require_tool("Xorg", "openbox", "xrandr", "xdotool")
    with two_screens() as display, show_on(display, to=["screen:0,1 tile=2x1"], out__window=0, **PLAIN) as show:
        show.tell("frame 200 90")
        assert wait_until(lambda: show.tell()["size"] == [1600, 450])
        assert wait_until(lambda: shows(show, 0, 200, 200) and shows(show, 1, 90, 90))
        assert show.tell()["outputs"] == "screen:0 800x450 · screen:1 800x450"
        press(display, "tpos-live screen:1", "b")
        assert wait_until(lambda: screenshot(display).max() == 0)
        press(display, "tpos-live screen:0", "b")
        assert wait_until(lambda: shows(show, 0, 200, 200))
        press_close(display, "tpos-live screen:1")
        assert wait_until(lambda: not is_mapped(display, "tpos-live screen:1"))
        assert show.tell()["outputs"] == "screen:0 800x450 · screen:1 closed" and shows(show, 0, 200, 200)
        show.tell("set out.wall.2 1")
        assert wait_until(lambda: shows(show, 1, 90, 90))
        show.tell("set out.wall.2.edge.left 0.5")
        assert wait_until(lambda: screenshot(display)[:, 800].max() <= 3 and shows(show, 0, 200, 200))
        show.tell("set out.wall.2.edge.left 0")
        show.tell("set out.wall.1.corner.top_left.y 0.2")
        assert wait_until(lambda: screenshot(display)[:80, 0].max() == 0 and shows(show, 1, 90, 90))
        show.tell("set out.wall.1.corner.top_left.y 0")
        show.tell("set out.testcard 1")
        assert wait_until(lambda: min(screenshot(display)[:, x].min() for x in (0, 799, 800, 1599)) > 230)
        assert not show.tell()["lines"]


@pytest.mark.display
def test_a_screen_that_goes_takes_its_window_along_and_the_show_stays_on_the_others() -> None:
    require_tool("Xorg", "openbox", "xrandr", "xdotool")
    with two_screens() as display:
        off(display, "DUMMY1")
        with show_on(display, to=["screen:DUMMY1 mirror=horizontal"], out__hud=1, **PLAIN) as show:
            show.tell("frame 200 90")
            state = show.tell()
            assert state["size"] == [640, 360] and state["outputs"] == "screen:DUMMY1 failed"
            assert "there is no screen DUMMY1" in state["lines"][0] and "0 DUMMY0 (800x450)" in state["lines"][0]
            for count in (1, 2, 3):
                on(display, "DUMMY1", "--right-of", "DUMMY0")
                assert wait_until(lambda: is_mapped(display, "tpos-live screen:DUMMY1"), 4.0)  # 2 s on an idle machine
                assert wait_until(lambda: shows(show, 1, 90, 200))
                assert show.tell()["size"] == list(SCREEN)
                off(display, "DUMMY1")
                assert wait_until(lambda: not is_mapped(display, "tpos-live screen:DUMMY1"))
                assert is_mapped(display, TITLE) and len(show.tell()["lines"]) == 2 * count + 1
                assert "screen DUMMY1 is here" in show.tell()["lines"][-2]
                assert "screen DUMMY1 is gone" in show.tell()["lines"][-1]
            on(display, "DUMMY1", "--right-of", "DUMMY0")
            assert wait_until(lambda: shows(show, 1, 90, 200))
            window = run(display, "xdotool", "search", "--onlyvisible", "--name", f"^{TITLE}$").split()[0]
            run(display, "xdotool", "windowmove", window, "900", "60")  # its status is not for the audience
            assert wait_until(lambda: show.tell()["at"][0] < 400) and shows(show, 1, 90, 200)
            off(display, "DUMMY1")
            assert wait_until(lambda: not is_mapped(display, "tpos-live screen:DUMMY1"))
            # On the other side of the desk it is still the same screen.
            on(display, "DUMMY1", "--left-of", "DUMMY0")
            assert wait_until(lambda: shows(show, 0, 90, 200))
            run(display, "xrandr", "--output", "DUMMY1", "--right-of", "DUMMY0")
            assert wait_until(lambda: shows(show, 1, 90, 200))


@pytest.mark.gl
@pytest.mark.parametrize("words", ["", "crop=0.5,0,1,0.5", "rotate=90", "mirror=both gamma=1.5 black=0.1",
                                   "edge=0.2,0,0.4,0.1 gamma=1.3 black=0.1 rotate=90"])  # fmt: skip
def test_a_screen_shows_what_another_output_of_these_words_gets(words: str) -> None:
    window, wanted = on_a_screen(words)
    assert np.abs(window - wanted).max() <= 8  # EGL's surface has fewer bits


@pytest.mark.gl
@pytest.mark.parametrize(
    "words",
    [
        "corners=0.1,0.05,-0.1,0.2,0,0,0.05,-0.05",
        "corners=-0.2,-0.1,0,0,0,0,0,0 edge=0.1 gamma=1.5 black=0.05 rotate=90",
    ],
)
def test_corners_are_moved_as_on_a_screen(words: str) -> None:
    window, wanted = on_a_screen(words)
    apart = np.abs(window - wanted)
    assert apart.mean() < 2 and np.percentile(apart, 99.5) <= 10  # a window cuts at its border, without smoothing


def on_a_screen(words: str) -> tuple[np.ndarray, np.ndarray]:
    """What a screen with these words shows, and the frame that another output with them gets."""
    store = ParameterStore({"finish.grain": 0.0})
    spec = parse_output(f"screen:0 {words}")[0]
    with stage("window", store, [FrameParams()]) as (made, frames):
        overlay = OutputTransform(spec.name, store.snapshot, None, spec.view)
        made.screen_windows = ScreenWindows([ScreenWindow(spec, 1, overlay)])
        frames.put(frame(field(1, (160, 90)), 0, 1.0))
        made.step(2.0)
        other = made.screen_windows._windows[0]._window
        other.switch_to()
        window = made._compositor.read_window(other.get_framebuffer_size())
        assert window.shape == (1080, 1920, 3)
        wanted = overlay(made.read_back())
        assert wanted.shape == window.shape
        return window.astype(int), wanted


def test_a_wall_has_the_corners_edges_and_colours_of_a_window() -> None:
    numbers = np.random.default_rng(0)
    names = [p.name for p in TABLE.values() if p.name.startswith("out.wall.2.")]
    values = {name: float(numbers.uniform(0.2, 0.4)) for name in names}
    window = {name.replace("wall.2", "window"): value for name, value in values.items()}
    view = OutputView((0.0, 0.0, 0.5, 1.0), "both", 90, 2.0, 0.01)
    walls, wanted = ParameterStore(values).snapshot(), window_view(ParameterStore(window).snapshot())
    wall = wall_view(view, walls, 2)
    assert wall == replace(view, gamma=2 * wanted.gamma, black=wanted.black, corners=wanted.corners, edges=wanted.edges)
    assert wall_view(view, walls, WALLS + 1) == wall_view(view, walls, 1) == view
    words = replace(view, corners=((0.1, 0.0), *3 * ((0.0, 0.0),)), edges=(0.5, 0.1, 0.0, 0.0))
    both = wall_view(words, walls, 2)
    assert both.corners[0][0] == 0.1 + wanted.corners[0][0] and both.corners[1:] == wanted.corners[1:]
    assert both.edges == (0.5, *wanted.edges[1:])


def test_the_largest_screen_has_a_pixel_of_the_frame_for_each_of_its_own() -> None:
    def windows(*texts: str) -> list[ScreenWindow]:
        specs = [spec for text in texts for spec in parse_output(text)]
        return [ScreenWindow(spec, 1, OutputTransform(spec.name, ParameterStore().snapshot)) for spec in specs]

    assert ScreenWindows(windows("screen:1")).frame_size is None
    wall = windows("screen:1,2,3,4 tile=2x2", "screen:5 rotate=90", "screen:6 crop=0,0,0.01,1")
    sizes = ((1920, 1080), (1080, 1920), (1920, 1080))
    for window, size in zip((wall[1], wall[4], wall[5]), sizes, strict=True):
        window.frame_size = window._whole(Screen(1, "a", 0, 0, *size, None))
    assert ScreenWindows([wall[0], wall[1], wall[4]]).frame_size == (3840, 2160)
    assert wall[4].frame_size == (1920, 1080)
    assert wall[5].frame_size == (8192, 46)  # no driver draws 192,000 pixels
