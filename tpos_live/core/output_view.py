"""The view of an output: which part of the frame it gets, and its geometry; parsed from words after the output's
name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

Mirror = Literal["off", "horizontal", "vertical", "both"]
MIRRORS: tuple[Mirror, ...] = get_args(Mirror)
TURNS = (0, 90, 180, 270)
MOST_TILES = 16
WORDS = (
    "crop=LEFT,TOP,RIGHT,BOTTOM tile=2x1 overlap=0.1 mirror=horizontal|vertical|both rotate=90|180|270 gamma=1.0 "
    "black=0.0 edge=0.1 or edge=LEFT,TOP,RIGHT,BOTTOM corners=X,Y,X,Y,X,Y,X,Y"
)
_WORD = re.compile(r"[a-z]+=\S*")
N = TypeVar("N", int, float)


@dataclass(frozen=True)
class OutputView:
    """crop: left, top, right, bottom, as shares of the frame. mirror: left and right, or top and bottom, swapped.
    rotate: degrees clockwise, after mirroring. gamma: above 1 brightens midtones. black: level of black, as a share of
    white. corners: offset of top left, top right, bottom right and bottom left to the right and down, as shares of the
    window or of the output image. edges: width of the soft edge at left, top, right and bottom of the output image
    (after rotation), as a share of it."""

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

    def soft(self, size: tuple[int, int]) -> list[int]:
        """Pixels of the soft edges at the sides of the output image, for frames of (width, height). Parts that overlap
        have the same number where they do, so `edges`, which are relative to a part of whole pixels, are not enough."""
        sides, (first, top, last, bottom) = self._of_frame(list(self.edges)), self.crop
        left, upper, right, lower = self.box(size)
        across, down = last - first, bottom - top
        return self._as_shown(
            [
                max(_pixel(first + sides[0] * across, size[0]) - left, 0),
                max(_pixel(top + sides[1] * down, size[1]) - upper, 0),
                max(right - _pixel(last - sides[2] * across, size[0]), 0),
                max(lower - _pixel(bottom - sides[3] * down, size[1]), 0),
            ]
        )

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the output image, for frames of (width, height)."""
        left, top, right, bottom = self.box(size)
        return self.turned((right - left, bottom - top))

    def turned(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) after the rotation, for an image of (width, height); also the inverse."""
        return size[::-1] if self.rotate in (90, 270) else size

    def tile(self, columns: int, rows: int, overlap: float = 0.0) -> list[OutputView]:
        """The views of `columns` x `rows` equal parts, row by row. overlap: share of its width and height that a part
        has in common with the next one, with soft edges there."""
        across, down = (
            _spans(self.crop[0], self.crop[2], columns, overlap),
            _spans(self.crop[1], self.crop[3], rows, overlap),
        )

        def part(column: int, row: int) -> OutputView:
            neighbours = column > 0, row > 0, column < columns - 1, row < rows - 1
            edges = self._as_shown([overlap * there for there in neighbours])
            (left, right), (top, bottom) = across[column], down[row]
            return replace(
                self,
                crop=(left, top, right, bottom),
                edges=tuple(max(both) for both in zip(self.edges, edges, strict=True)),
            )

        return [part(column, row) for row in range(rows) for column in range(columns)]

    def _as_shown(self, sides: list[N]) -> list[N]:
        """Reorder values of (left, top, right, bottom) from the frame's sides to the sides of the output image."""
        left, top, right, bottom = self._mirrored(sides)
        for _ in range(self.rotate // 90):
            left, top, right, bottom = bottom, left, top, right
        return [left, top, right, bottom]

    def _of_frame(self, sides: list[N]) -> list[N]:
        """The inverse of `_as_shown`."""
        left, top, right, bottom = sides
        for _ in range(self.rotate // 90):
            left, top, right, bottom = top, right, bottom, left
        return self._mirrored([left, top, right, bottom])

    def _mirrored(self, sides: list[N]) -> list[N]:
        left, top, right, bottom = sides
        if self.mirror in ("horizontal", "both"):
            left, right = right, left
        if self.mirror in ("vertical", "both"):
            top, bottom = bottom, top
        return [left, top, right, bottom]


def split_view(text: str) -> tuple[str, list[OutputView]]:
    """Split a text such as "ndi:wall tile=2x1 rotate=90" into the output's name and the views of its parts, one without
    tile=.

    Raises ValueError with the reason.
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
    columns, rows = found.pop("tile", (1, 1))
    overlap, alone = found.pop("overlap", 0.0), columns == rows == 1
    if overlap and alone:
        raise ValueError("overlap= is for the parts of a wall, as in tile=2x1 overlap=0.1; one part takes edge=")
    view = OutputView(**{_FIELDS.get(name, name): value for name, value in found.items()})
    return " ".join(words), [view] if alone else view.tile(columns, rows, overlap)


def _spans(first: float, last: float, count: int, overlap: float) -> list[tuple[float, float]]:
    """Begin and end of `count` equal parts. Adjoining parts share the same number at their border."""
    part, step = (last - first) / (count - (count - 1) * overlap), 1 - overlap
    return [(first + n * step * part, min(first + (n * step + 1) * part, last)) for n in range(count)]


def _span(first: float, last: float, pixels: int) -> tuple[int, int]:
    begin, end = _pixel(first, pixels), _pixel(last, pixels)
    begin = max(min(begin, pixels - 2), 0)
    return begin, max(end, min(begin + 2, pixels))


def _pixel(share: float, pixels: int) -> int:
    """The border between pixels that is nearest to a share of them. A half is rounded up, also where it was computed
    with an error, so that adjoining parts agree."""
    return math.floor(share * pixels + 0.5 + 1e-6)


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


def _edges(text: str) -> tuple[float, ...]:
    edges = tuple(_between(0.0, 0.5)(part) for part in text.split(","))
    if len(edges) not in (1, 4):
        raise ValueError
    return edges if len(edges) == 4 else 4 * edges


def _corners(text: str) -> tuple[tuple[float, float], ...]:
    numbers = [_between(-0.5, 0.5)(part) for part in text.split(",")]
    if len(numbers) != 8:
        raise ValueError
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


_FIELDS = {"edge": "edges"}
"""Fields of OutputView whose name differs from their word."""
_PARSERS: dict[str, Callable[[str], Any]] = {
    "crop": _crop,
    "tile": _tiles,
    "mirror": _one_of(MIRRORS),
    "rotate": _one_of(TURNS),
    "gamma": _between(0.2, 5.0),
    "black": _between(0.0, 0.5),
    "edge": _edges,
    "corners": _corners,
    "overlap": _between(0.0, 0.5),
}
