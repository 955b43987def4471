"""The texts on the window: as large as the window allows, inside it, and none over another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.egl import headless_gl
from images import flat, frame

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.status import Status
from tpos_live.display.label_text import ordered, text_scale
from tpos_live.display.window import DisplayWindow

LONG = "no input is called ANY TEXT; take another one with /tpos/audio/device NAME or Ctrl+A; inputs here: " * 4
FULL = Status(
    state="running", message=LONG, bands=(1, 1, 1, 1), tempo=128.0, section="build-up", prompt=LONG, look="W" * 60,
    understood=f"nebula; not understood: {LONG}", engine="ember", backend="fp32+bf16 residual", midi="M" * 80,
    sound_name="@" * 80, outputs=" · ".join(f"screen:HDMI-{n} 1920x1080 failed" for n in range(6)), waiting="%" * 80,
    recording="m" * 80, decision="peak: blend to " + 40 * "w", record_minutes_left=5.0, record_lag_ms=900.0,
)  # fmt: skip


def box(panel: Any) -> tuple[float, float, float, float]:
    """left, bottom, right, top."""
    return panel.x, panel.y, panel.x + panel.width, panel.y + panel.height


@pytest.mark.gl
@pytest.mark.parametrize("size", [(800, 480), (1280, 720), (1080, 1920), (2560, 1080), (640, 360)])
def test_all_texts_are_inside_of_the_window_and_apart(size: tuple[int, int]) -> None:
    store, frames = ParameterStore({"out.hud": True, "out.page_code": True}), Mailbox[Frame]()
    with (
        headless_gl(),
        DisplayWindow(frames, FrameParams, store.snapshot, lambda: FULL, size=size, headless=True) as window,
    ):
        window.page_address = lambda: "http://192.168.178.120:9080/?token=Zx8-qwertyuiopas"
        frames.put(frame(flat(90), 0, 1.0))
        window.step(2.0)
        window.step(3.0)
        text = window._text
        hud = text.hud
        panels = [box(one._panel) for one in (text._message, text._code._caption, hud)]
        for left, bottom, right, top in panels:
            assert left >= 0 and bottom >= 0 and right <= size[0] and top <= size[1]
        assert panels[0][3] <= panels[1][1] and panels[1][3] <= panels[2][1]
        right = panels[2][2] - hud._px(9)
        for name, value in hud._rows:
            assert name.x + name.content_width <= value.x or not name.text
            assert value.x + value.content_width <= right, value.text
            assert value.y >= panels[2][1] or not value.text
        assert hud._rows[0][1].font_size == 10 * text_scale(size)


@pytest.mark.gl
def test_arabic_in_a_message_is_put_into_drawing_order_once() -> None:
    status, frames = replace(FULL, message='prompt "مدينة النيون": not understood'), Mailbox[Frame]()
    store = ParameterStore()
    with headless_gl(), DisplayWindow(frames, FrameParams, store.snapshot, lambda: status, headless=True) as window:
        frames.put(frame(flat(90), 0, 1.0))
        window.step(2.0)
        assert window._text._message._label.text == ordered(status.message) != ordered(ordered(status.message))
