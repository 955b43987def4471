"""One image of a source (`--source`), from which image-to-image starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SourceImage:
    """pixels: uint8 [height, width, 3] sRGB, at the engine's size, not modified afterwards. mask: uint8 [height,
    width], weight of the source, 255 = full; None = full everywhere. number: grows by one with each new image."""

    pixels: np.ndarray
    mask: np.ndarray | None = None
    number: int = 0
