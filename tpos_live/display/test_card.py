"""A test card: shows on each output its name, its size, and whether it is cut off, distorted or in other colours."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tpos_live.display.patch import Patch

if TYPE_CHECKING:
    from PIL import ImageDraw

DARK, LINE, WHITE = (26, 28, 34), (92, 98, 110), (255, 255, 255)
BARS = ((255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255))
GREYS = 11
ROWS = 9
"""Squares of the grid on the shorter side."""
SMALLEST = 64
"""Pixels of the shorter side below which there is only the grid."""


@lru_cache(maxsize=8)
def make_test_card(size: tuple[int, int], name: str) -> Patch:
    """A card of (width, height): a border of one pixel, a grid of squares, circles in the middle and the corners,
    colour bars, greys, and the output's name and size."""
    from PIL import Image, ImageDraw

    width, height = size
    card = Image.new("RGBA", size, DARK)
    draw = ImageDraw.Draw(card)
    cell = min(size) / ROWS
    thick = max(round(min(size) / 360), 1)
    middle = width / 2, height / 2
    for n in range(-int(middle[0] / cell) - 1, int(middle[0] / cell) + 2):
        x = middle[0] + n * cell
        draw.line((x, 0, x, height), LINE, thick)
    for n in range(-int(middle[1] / cell) - 1, int(middle[1] / cell) + 3):
        y = middle[1] + (n - 0.5) * cell
        draw.line((0, y, width, y), LINE, thick)
    if min(size) >= SMALLEST:
        _picture(draw, size, name, cell, thick)
    draw.rectangle((0, 0, width - 1, height - 1), outline=WHITE)
    return Patch(np.array(card))


def _picture(draw: ImageDraw.ImageDraw, size: tuple[int, int], name: str, cell: float, thick: int) -> None:
    width, height = size
    across = min(size)
    _circle(draw, (width / 2, height / 2), across / 2 - thick, 2 * thick)
    small = min(cell, across / 4)
    for x in (small, width - small):
        for y in (small, height - small):
            _circle(draw, (x, y), small - thick, thick)
    _lines_to_corners(draw, size, thick)
    _bars(draw, size, cell)
    _text(draw, size, name)


def _circle(draw: ImageDraw.ImageDraw, middle: tuple[float, float], radius: float, thick: int) -> None:
    x, y = middle
    if radius > thick:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=WHITE, width=thick)


def _lines_to_corners(draw: ImageDraw.ImageDraw, size: tuple[int, int], thick: int) -> None:
    width, height = size
    draw.line((0, 0, width, height), LINE, thick)
    draw.line((0, height, width, 0), LINE, thick)
    arm = min(size) / ROWS / 2
    x, y = width / 2, height / 2
    draw.line((x - arm, y, x + arm, y), WHITE, thick)
    draw.line((x, y - arm, x, y + arm), WHITE, thick)


def _bars(draw: ImageDraw.ImageDraw, size: tuple[int, int], cell: float) -> None:
    """Colours above the middle, greys from black to white below it."""
    width, height = size
    inner = 0.6 * min(width, height)
    greys = tuple(3 * (round(255 * n / (GREYS - 1)),) for n in range(GREYS))
    for colours, y in ((BARS, height / 2 - 2.5 * cell), (greys, height / 2 + 1.5 * cell)):
        step = inner / len(colours)
        for n, colour in enumerate(colours):
            x = width / 2 - inner / 2 + n * step
            draw.rectangle((round(x), round(y), round(x + step) - 1, round(y + cell) - 1), fill=colour)


def _text(draw: ImageDraw.ImageDraw, size: tuple[int, int], name: str) -> None:
    """Name above the middle, size below it, as large as they fit into the circle."""
    from PIL import ImageFont

    width, height = size
    for text, y, share in ((name, -0.075, 0.07), (f"{width} x {height}", 0.075, 0.06)):
        points = max(share * min(width, height), 6.0)
        length = draw.textlength(text, ImageFont.load_default(points))
        font = ImageFont.load_default(max(points * min(0.8 * min(width, height) / max(length, 1.0), 1.0), 6.0))
        draw.text((width / 2, height / 2 + y * min(width, height)), text, WHITE, font, anchor="mm")
