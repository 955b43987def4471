"""The output window is closed and opened again while the show goes on."""

from __future__ import annotations

import time

import numpy as np
import pytest
from fakes.screen_reader import WHITE, watch_screen
from fakes.tools import require_tool
from fakes.waiting import wait_until
from fakes.xvfb import is_mapped, run, screenshot, two_screens
from test_window import Show, show_on

from tpos_live.display.open_window import TITLE

pytestmark = pytest.mark.display


def reopened(show: Show, grey: int) -> dict[str, object]:
    """Close the window, send a frame of this value, open it again; its state then."""
    show.tell("set out.window 0")
    assert wait_until(lambda: not is_mapped(show.display, TITLE))
    show.tell(f"frame {grey}")
    time.sleep(0.5)
    show.tell("set out.window 1")
    assert wait_until(lambda: is_mapped(show.display, TITLE))
    time.sleep(1.0)
    return {name: value for name, value in show.tell().items() if name in ("at", "size", "full")}


def test_a_window_that_opens_again_has_its_place_and_no_black_moment() -> None:
    """In a window and in full screen on the second screen, with a window manager, which forgets both."""
    require_tool("Xorg", "openbox", "xrandr", "xdotool")
    with two_screens() as display, show_on(display, finish__grain=0, out__messages=0) as show:
        show.tell("frame 200")
        window = run(display, "xdotool", "search", "--onlyvisible", "--name", f"^{TITLE}$").split()[0]
        run(display, "xdotool", "windowsize", window, "320", "180", "windowmove", window, "410", "205")
        assert wait_until(lambda: show.tell()["size"] == [320, 180])
        before = show.tell()
        for full in (False, True):
            show.tell(f"set out.screen {int(full)}")
            show.tell(f"set out.fullscreen {int(full)}")
            assert wait_until(lambda full=full: show.tell()["full"] == full)
            if full:
                assert wait_until(lambda: show.tell()["at"] == [800, 0] and show.tell()["size"] == [800, 450])
                time.sleep(3.5)  # it is moved to its screen as long as this
            before = show.tell()
            x, y = (1200, 200) if full else (before["at"][0] + 100, before["at"][1] + 90)
            with watch_screen(display, x, y, 100, 4, WHITE) as watched:
                for grey in (90, 150):
                    after = reopened(show, grey)
                    assert after == {name: before[name] for name in after}
                    shot = screenshot(display)[y : y + 40, x : x + 100]
                    assert np.abs(shot.astype(int) - grey).max() <= 3
            assert len(watched.looks) > 100 and not watched.black(0.0), watched.black(0.0)


def test_outputs_of_a_closed_window_get_the_newest_frames_at_the_same_rate() -> None:
    require_tool("Xorg", "openbox", "xrandr", "xdotool")
    with two_screens() as display, show_on(display, counts=True, finish__grain=0) as show:
        rates = []
        for window, grey in ((1, 200), (0, 90)):
            show.tell(f"set out.window {window}")
            show.tell(f"frame {grey}")
            time.sleep(0.5)
            first, begin = show.tell()["sent"], time.monotonic()
            time.sleep(2.0)
            state = show.tell()
            rates.append((state["sent"] - first) / (time.monotonic() - begin))
            assert abs(state["last"] - grey) <= 2
        print("frames per second of an output, window open and closed:", rates)
        assert rates[1] > 0.9 * rates[0], rates
