"""All text on the window: the HUD, messages, the start screen and the control page's code; never in a recording."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tpos_live.core.guard import Guard
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.status import Status
from tpos_live.display.caption import Caption
from tpos_live.display.hud import Hud
from tpos_live.display.interpolator import DisplayFrame
from tpos_live.display.pacing import ShownMeter
from tpos_live.display.page_code import PageCode

log = logging.getLogger(__name__)

BOTTOM, GAP = 0.035, 6
"""Space below the lowest text, as a share of the window's height; and between two texts, in pixels."""
READ = 20.0
"""Seconds for which a message is shown on the frame; afterwards only with the HUD."""


class WindowText:
    """An audience sees none of it unless a parameter enables it. Needs the window's context; the window's thread only.

    A fault in it is logged and does not stop the window.
    """

    def __init__(self, meter: ShownMeter, fills_a_screen: Callable[[], bool], page_address: Callable[[], str]) -> None:
        """meter: gives the frame rate for the HUD. fills_a_screen: whether an audience may see the window, so that
        messages need a parameter. page_address: gives the control page's address, "" for none."""
        self.hud, self._message, self._notice = Hud(), Caption(), Caption(15, panel=False)
        self._code = PageCode()
        self._meter, self._fills_a_screen, self._page_address = meter, fills_a_screen, page_address
        self._last_message, self._message_at = "", 0.0
        self._guard = Guard(log, "the text on the window")

    def follow(self, message: str, now: float) -> None:
        """Note since when the status has this message. Call it once a refresh, also while the window is hidden."""
        if message != self._last_message:
            self._last_message, self._message_at = message, now

    def draw(
        self, status: Status, snapshot: Snapshot, frame: DisplayFrame, window: tuple[int, int], now: float
    ) -> None:
        """Draw on the window of (width, height) pixels. frame: below the text. now: seconds."""
        with self._guard:
            hud, messages = snapshot["out.hud"], snapshot["out.messages"]
            messages = messages == "on" or (messages == "auto" and not self._fills_a_screen())
            bottom = round(BOTTOM * window[1])
            if not frame.started and frame.postfx.shown_level > 0:
                if hud or messages:
                    self._notice.draw(status.message or _loading(status), window, 0.41 * window[1])
            elif status.message and (hud or (messages and now - self._message_at < READ)):
                bottom = self._message.draw(status.message, window, bottom) + GAP
            code = snapshot["out.page_code"]
            if code:
                bottom = self._code.write(self._page_address, window, now, bottom) + GAP
            if hud:
                self.hud.draw(status, snapshot, self._meter.fps, window, now, bottom)
            if code:  # over the HUD where the window is narrow
                self._code.draw(window)


def _loading(status: Status) -> str:
    if status.state in ("starting", "loading"):
        named = status.engine if status.engine != "auto" else "the engine"
        return f"loading {named}" if status.engine else "starting"
    return status.state
