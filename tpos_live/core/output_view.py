"""Which part of the frame an output gets, and how it is turned: the words behind an output's name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

Mirror = Literal["off", "horizontal", "vertical", "both"]
MIRRORS: tuple[Mirror, ...] = get_args(Mirror)
TURNS = (0, 90, 180, 270)
MOST_TILES = 16
WORDS = "crop=LEFT,TOP,RIGHT,BOTTOM tile=2x1 mirror=horizontal|vertical|both rotate=90|180|270 gamma=1.0 black=0.0"
_WORD = re.compile(r"[a-z]+=\S*")


@dataclass(frozen=True)
class OutputView:
    """crop: left, top, right, bottom, as shares of the frame. mirror: left and right, or top and bottom, swapped.
    rotate: degrees clockwise, after mirroring. gamma: above 1 the middle is brighter. black: level of black, as a share
    of white. Windows alone have the rest. corners: how far top left, top right, bottom right and bottom left are moved
    to the right and down, as shares of the window. edges: width of the soft edge at left, top, right and bottom of the
    shown image, as a share of it."""

    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    mirror: Mirror = "off"
    rotate: int = 0
    gamma: float = 1.0
    black: float = 0.0
    corners: tuple[tuple[float, float], ...] = 4 * ((0.0, 0.0),)
    edges: tuple[float, ...] = 4 * (0.0,)

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """left, top, right, bottom of the part in pixels of a frame of (width, height): at least 2x2. Parts that adjoin
        share no pixel and leave none out."""
        left, right = _span(self.crop[0], self.crop[2], size[0])
        top, bottom = _span(self.crop[1], self.crop[3], size[1])
        return left, top, right, bottom

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of what leaves, for frames of (width, height)."""
        left, top, right, bottom = self.box(size)
        return (bottom - top, right - left) if self.rotate in (90, 270) else (right - left, bottom - top)

    def tile(self, columns: int, rows: int) -> list[OutputView]:
        """The same for each of `columns` x `rows` equal parts, row by row."""
        left, top, right, bottom = self.crop

        def part(column: int, row: int) -> tuple[float, float, float, float]:
            width, height = (right - left) / columns, (bottom - top) / rows
            return (
                left + column * width, top + row * height, left + (column + 1) * width, top + (row + 1) * height,
            )  # fmt: skip

        return [replace(self, crop=part(column, row)) for row in range(rows) for column in range(columns)]


def split_view(text: str) -> tuple[str, OutputView, tuple[int, int]]:
    """An output's name, its view, and columns and rows of its tiles ((1, 1): none): "ndi:wall tile=2x1 rotate=90".

    Raises ValueError with what is wrong.
    """
    words, found = text.split(" "), dict[str, Any]()
    while words and (not words[-1] or _WORD.fullmatch(words[-1])):
        word = words.pop()
        if not word:
            continue
        name, _, value = word.partition("=")
        if name not in _PARSERS or name in found:
            raise ValueError(f"{word} is not one of: {WORDS}, each once")
        try:
            found[name] = _PARSERS[name](value)
        except ValueError as error:
            raise ValueError(f"{word} is not written as in: {WORDS}") from error
    tiles = found.pop("tile", (1, 1))
    return " ".join(words), OutputView(**found), tiles


def _span(first: float, last: float, pixels: int) -> tuple[int, int]:
    begin, end = math.floor(first * pixels + 0.5), math.floor(last * pixels + 0.5)
    begin = max(min(begin, pixels - 2), 0)
    return begin, max(end, min(begin + 2, pixels))


def _crop(text: str) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(part) for part in text.split(","))
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError
    return left, top, right, bottom


def _tiles(text: str) -> tuple[int, int]:
    columns, rows = (int(part) for part in text.split("x"))
    if not (columns > 0 and rows > 0 and columns * rows <= MOST_TILES):
        raise ValueError
    return columns, rows


def _one_of(choices: tuple[Any, ...]) -> Callable[[str], Any]:
    texts = [str(choice) for choice in choices]
    return lambda text: choices[texts.index(text)]


def _between(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not low <= number <= high:
            raise ValueError
        return number

    return parse


_PARSERS: dict[str, Callable[[str], Any]] = {
    "crop": _crop,
    "tile": _tiles,
    "mirror": _one_of(MIRRORS),
    "rotate": _one_of(TURNS),
    "gamma": _between(0.2, 5.0),
    "black": _between(0.0, 0.5),
}
