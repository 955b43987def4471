"""Fits and transforms the composed frames for one output: size, logo, crop, test card, mirror, rotation, shape."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tpos_live.core.messages import NOTICE
from tpos_live.core.output_view import OutputView
from tpos_live.core.parameter_store import Snapshot
from tpos_live.display.logo import Logo, LogoPlace
from tpos_live.display.output_shape import OutputShape
from tpos_live.display.patch import Patch
from tpos_live.display.test_card import make_test_card
from tpos_live.display.window_view import PLAIN

log = logging.getLogger(__name__)


class FrameTransform:
    """The base class: leaves frames as they are."""

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the transformed frames, for frames of (width, height)."""
        return size

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The transformed frame: `pixels` itself, or another array. pixels: uint8 [height, width, 3]."""
        return pixels


class OutputTransform(FrameTransform):
    """For one output: the logo on the whole frame, then the output's part of it, or the test card in place of both;
    then mirrored, rotated, with gamma, black level, soft edges and corner pin. In blackout all is black; the master
    fader does not dim logo and card.

    Thread contract: any thread may call it, two at once too: a recording may still be written when the next one begins.
    """

    def __init__(
        self,
        name: str,
        snapshot: Callable[[], Snapshot],
        logo: Logo | None = None,
        view: OutputView | None = None,
        *,
        card: bool = True,
    ) -> None:
        """name: on the test card. card: whether this output shows it."""
        self._name, self._snapshot, self._logo, self._card = name, snapshot, logo, card
        self._view = view or OutputView()
        self._shaped = self._view != replace(
            PLAIN, crop=self._view.crop, mirror=self._view.mirror, rotate=self._view.rotate
        )
        self._shape: tuple[tuple[int, int], OutputShape] | None = None
        self._cached_logo: tuple[tuple[LogoPlace, tuple[int, int]], Patch | None] | None = None

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        return self._view.size(size)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        whole = pixels.shape[1], pixels.shape[0]
        left, top, right, bottom = self._view.box(whole)
        card = self.card((right - left, bottom - top))
        if card is not None:
            pixels = card.pixels[..., :3]
        else:
            logo = self.logo(whole)
            pixels = pixels if logo is None else logo.over(pixels)
            pixels = pixels[top:bottom, left:right]
        pixels = _turned(pixels, self._view)
        return self._shape_of(whole)(pixels) if self._shaped and not self._snapshot()["out.blackout"] else pixels

    def card(self, size: tuple[int, int]) -> Patch | None:
        """The test card for a frame of (width, height), if it is to be shown; the same object while it stays the
        same."""
        snapshot = self._snapshot()
        shown = self._card and snapshot["out.testcard"] and not snapshot["out.blackout"]
        return make_test_card(size, self._name) if shown else None

    def logo(self, size: tuple[int, int]) -> Patch | None:
        """The logo for a frame of (width, height), if it is to be shown; the same object while it stays the same."""
        snapshot = self._snapshot()
        if self._logo is None or snapshot["out.blackout"]:
            return None
        wanted, made = (LogoPlace.of(snapshot), size), self._cached_logo
        if made is None or made[0] != wanted:
            made = self._cached_logo = wanted, self._logo.patch(*wanted)
        return made[1]

    def _shape_of(self, whole: tuple[int, int]) -> OutputShape:
        made = self._shape
        if made is None or made[0] != whole:
            made = self._shape = whole, OutputShape(self._view, whole)
        return made[1]


def _turned(pixels: np.ndarray, view: OutputView) -> np.ndarray:
    if view.mirror in ("horizontal", "both"):
        pixels = pixels[:, ::-1]
    if view.mirror in ("vertical", "both"):
        pixels = pixels[::-1]
    return np.rot90(pixels, -view.rotate // 90) if view.rotate else pixels


class FrameFitter:
    """Gives every frame the same size: a window may change its size, an encoder cannot. Belongs to one thread."""

    def __init__(self, name: str, size: tuple[int, int], transform: FrameTransform) -> None:
        """name: of the output, for messages. size: (width, height) before the transform."""
        self._name, self._size, self._transform = name, size, transform
        self._last_size = size
        self._source = self._drawn = np.zeros((0, 0, 3), np.uint8)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The frame, fitted and transformed. A repeated frame gives the same array, which is not converted again."""
        if pixels is not self._source:
            self._source, self._drawn = pixels, self._transform(self._fitted(pixels))
        return self._drawn

    def _fitted(self, pixels: np.ndarray) -> np.ndarray:
        size = pixels.shape[1], pixels.shape[0]
        if size == self._size:
            return pixels
        if size != self._last_size:
            self._last_size = size
            new, old = (f"{width}x{height}" for width, height in (size, self._size))
            log.log(NOTICE, f"{self._name}: the window is {new} now, this stays {old}")
        return fit(pixels, self._size)


def fit(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`pixels`, uint8 [height, width, 3], scaled to fit `size` (width, height), centred on black."""
    import av

    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = max(round(scale * width), 1), max(round(scale * height), 1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    small = frame.reformat(width=inner[0], height=inner[1], threads=1).to_ndarray()
    out = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    out[y : y + inner[1], x : x + inner[0]] = small
    return out
