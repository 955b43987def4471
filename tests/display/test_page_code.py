"""The QR code of the control page: a scanner reads the address; recordings never contain the code."""

from __future__ import annotations

import numpy as np
import pytest
import segno
from fakes.egl import headless_gl
from images import flat, frame

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.display.page_code import QUIET, SHARE, advice
from tpos_live.display.window import DisplayWindow

ADDRESS = "http://192.168.1.20:9080/?token=Zx8-qwertyuiopas"


def modules(pixels: np.ndarray, count: int) -> np.ndarray:
    """bool [count, count]: the dark modules of the code in the right upper corner."""
    height, width = pixels.shape[:2]
    size = int(SHARE * min(height, width)) // count
    side = size * count
    part = pixels[20 : 20 + side, width - 20 - side : width - 20]
    return part[size // 2 :: size, size // 2 :: size, 0] < 128


@pytest.mark.gl
def test_the_window_shows_the_code_while_it_is_asked_for() -> None:
    store, frames, asked = ParameterStore({"out.messages": "off"}), Mailbox[Frame](), []
    with headless_gl(), DisplayWindow(frames, FrameParams, store.snapshot, size=(640, 480), headless=True) as window:
        address = [ADDRESS]
        window.page_address = lambda: asked.append(1) or address[0]
        frames.put(frame(flat(90), 0, 1.0))
        window.step(2.0)
        plain, composed = window.read_window(), window.read_back()
        store.set("out.page_code", True)
        for n in range(20):
            window.step(2.1 + n / 60)
        expected = np.array([list(row) for row in segno.make(ADDRESS, micro=False).matrix_iter(border=QUIET)], bool)
        assert np.array_equal(modules(window.read_window(), len(expected)), expected) and len(asked) == 1
        assert np.array_equal(window.read_back(), composed)  # of no output and no recording
        address[0] = ADDRESS.replace("Zx8", "new")  # another page
        window.step(4.0)
        assert not np.array_equal(modules(window.read_window(), len(expected)), expected)
        store.set("out.page_code", False)
        window.step(5.0)
        assert np.array_equal(window.read_window(), plain)
        address[0] = ""
        store.set("out.page_code", True)
        window.step(7.0)
        assert np.array_equal(window.read_window()[:300], plain[:300])


def test_a_page_of_this_computer_has_no_code_but_advice() -> None:
    assert "--web-host" in advice("http://127.0.0.1:9080/") and advice("") == "no control page"
    assert "192.168.1.20:9080" in advice(ADDRESS) and "Zx8" not in advice(ADDRESS)
