"""Up to three lines of text in the middle of the window: messages, the start screen, the line below the page's code."""

from __future__ import annotations

import pyglet

from tpos_live.display.hud import INK
from tpos_live.display.label_text import FONTS, columns, ordered, place, text_scale, wrapped


class Caption:
    """One text on a panel, as large as `text_scale` says. Needs the window's context; the window's thread only."""

    def __init__(self, size: int = 13, panel: bool = True) -> None:
        """size: of the font, in points where the scale is 1. panel: whether it is on a dark panel."""
        self._size = size
        self._batch = pyglet.graphics.Batch()
        self._panel = pyglet.shapes.RoundedRectangle(
            0, 0, 10, 34, 8, color=(8, 9, 13, 210 if panel else 0), batch=self._batch, group=pyglet.graphics.Group(0)
        )
        self._label = pyglet.text.Label(
            "",
            font_name=FONTS,
            font_size=size,
            color=INK,
            anchor_x="center",
            anchor_y="bottom",
            batch=self._batch,
            group=pyglet.graphics.Group(1),
            multiline=True,
            width=320,
            align="center",
        )

    def draw(self, text: str, window: tuple[int, int], bottom: float) -> int:
        """Draw on the window of (width, height) pixels, `bottom` pixels above its lower edge. Returns the height, in
        pixels, of its own upper edge; 0 without a text."""
        if not text:
            return 0
        scale = text_scale(window)
        across, down = round(18 * scale), round(7 * scale)
        text = wrapped(text, columns(window[0] - 4 * across, scale * self._size))
        x, y = window[0] // 2, round(bottom) + down
        label, size = self._label, scale * self._size
        if (label.text, label.font_size, label.x, label.y, label.width) != (ordered(text), size, x, y, window[0]):
            label.font_size, label.width = size, window[0]
            place(label, text, x, y)
            width, height = label.content_width + 2 * across, label.content_height + 2 * down
            self._panel.position = (x - width / 2, y - down)
            self._panel.width, self._panel.height = width, height
        self._batch.draw()
        return round(self._panel.y + self._panel.height)
