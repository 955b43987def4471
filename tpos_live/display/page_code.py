"""The control page's address as a QR code on the window, to point a phone at; never in a recording."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import numpy as np
import pyglet

from tpos_live.core.network import is_loopback
from tpos_live.display.caption import Caption

QUIET = 4
"""Width of the quiet zone around the code, in modules (ISO/IEC 18004)."""
SHARE = 0.4
"""Side of the code, as a share of the window's shorter side, at most."""
_QUERY_SECONDS = 1.0
"""Seconds between two queries of the address."""


def advice(address: str) -> str:
    """The line below the code: what to do with it. address: "" = there is no page."""
    if not address:
        return "no control page"
    parts = urlsplit(address)
    if is_loopback(parts.hostname or ""):
        return f"{address} · this computer only: start with --web-host 0.0.0.0 for phones"
    return f"control page: {parts.netloc} · whoever reads this code can control the show"


class PageCode:
    """Draws the code. Needs the window's context; the window's thread only."""

    def __init__(self) -> None:
        self._caption = Caption()
        self._address: str | None = None
        self._queried_at = -_QUERY_SECONDS
        self._modules: np.ndarray | None = None
        self._sprite: pyglet.sprite.Sprite | None = None
        self._size = 0

    def write(self, ask: Callable[[], str], window: tuple[int, int], now: float, bottom: int) -> int:
        """Write the line on the window of (width, height) pixels, `bottom` pixels above its lower edge; returns the
        height of its upper edge. ask: gives the page's address, "" = none. now: seconds."""
        if now - self._queried_at >= _QUERY_SECONDS or now < self._queried_at:
            self._queried_at = now
            self._follow(ask())
        return self._caption.draw(advice(self._address or ""), window, bottom)

    def draw(self, window: tuple[int, int]) -> None:
        """Draw the code itself, if there is one."""
        if self._modules is not None:
            self._place(self._modules, window)
            assert self._sprite is not None
            self._sprite.draw()

    def _follow(self, address: str) -> None:
        """Encode the address if it has changed; none for a page on loopback."""
        if address == self._address:
            return
        self._address, self._modules, self._size = address, None, 0
        if address and not is_loopback(urlsplit(address).hostname or ""):
            import segno  # late: few shows use it

            code = segno.make(address, micro=False)
            self._modules = np.array([list(row) for row in code.matrix_iter(border=QUIET)], bool)

    def _place(self, modules: np.ndarray, window: tuple[int, int]) -> None:
        """Put the code into the upper right corner; each module is a whole number of pixels wide."""
        size = max(int(SHARE * min(window)) // len(modules), 1)
        if size != self._size:
            self._size = size
            grey = np.where(np.repeat(np.repeat(modules, size, 0), size, 1), 0, 255).astype(np.uint8)
            pixels = np.repeat(grey[..., None], 4, 2)
            pixels[..., 3] = 255
            side = len(grey)
            image = pyglet.image.ImageData(side, side, "RGBA", pixels[::-1].tobytes())  # from the bottom up
            self._sprite = pyglet.sprite.Sprite(image)
        assert self._sprite is not None
        side = len(modules) * size
        self._sprite.position = (window[0] - side - 20, window[1] - side - 20, 0)
