"""A logo over the image: a PNG with transparency, at a place and size that change live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tpos_live.core.errors import reason
from tpos_live.core.parameter_store import Snapshot
from tpos_live.display.errors import DisplayError
from tpos_live.display.patch import Patch

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 4096
"""Pixels of a side; a larger logo is reduced when it is read."""


@dataclass(frozen=True)
class LogoPlace:
    """x, y: 0 left and top, 1 right and bottom; the logo is never cut off. size: its height, as a share of the frame's.
    opacity: 0 to 1."""

    x: float
    y: float
    size: float
    opacity: float

    @classmethod
    def of(cls, snapshot: Snapshot) -> LogoPlace:
        return cls(*(float(snapshot[f"out.logo.{name}"]) for name in ("x", "y", "size", "opacity")))


class Logo:
    """A logo that was read from a file. Immutable; any thread may use it."""

    def __init__(self, path: Path) -> None:
        """Raises DisplayError for a file that is no image."""
        from PIL.Image import open as open_image

        try:
            if path.exists() and not path.is_file():
                raise DisplayError("a folder, a device or a pipe")
            with open_image(path) as image:
                self._image: Image = image.convert("RGBA")
        except Exception as error:  # Pillow raises many kinds for damaged and for huge files
            raise DisplayError(f"logo {path}: {reason(error)}; name a PNG, or leave it out") from error
        self._image.thumbnail((LARGEST, LARGEST))

    def patch(self, place: LogoPlace, frame: tuple[int, int]) -> Patch | None:
        """The logo for a frame of (width, height), None where it cannot be seen."""
        if place.opacity <= 0.0 or place.size <= 0.0:
            return None
        width, height = self._image.size
        scale = min(place.size * frame[1] / height, frame[1] / height, frame[0] / width)
        size = max(round(scale * width), 1), max(round(scale * height), 1)
        pixels = np.array(self._image.resize(size))
        pixels[..., 3] = np.rint(pixels[..., 3] * min(place.opacity, 1.0)).astype(np.uint8)
        left, top = round(place.x * (frame[0] - size[0])), round(place.y * (frame[1] - size[1]))
        return Patch(pixels, left, top)


def open_logo(path: str) -> tuple[Logo | None, str]:
    """The logo of a file, or None, and why the file cannot be read, "" if it can. path: "" = no logo."""
    if not path:
        return None, ""
    try:
        return Logo(Path(path)), ""
    except DisplayError as error:
        return None, str(error)
