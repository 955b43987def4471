"""A picture from the engine, as it goes through the mailbox to the stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frame:
    """pixels: uint8 [H, W, 3], sRGB, row 0 on top, contiguous; never written again by the renderer
    while it is among the three newest. index counts pictures. time: seconds of sound heard when it was
    begun. heard_at, drawn_at: perf_counter of the newest sample it answers and of its completion.
    pan_x, pan_y: the drift of the noise field it was drawn with (see Drive), for in-betweens.
    cut_index: FrameParams.cut_index it was drawn with; two frames of different values are never blended by motion.
    detail: how much fine structure the stage adds where it enlarges the picture, for an engine whose pictures are soft.
    """

    pixels: np.ndarray
    index: int
    time: float
    heard_at: float
    drawn_at: float
    pan_x: float = 0.0
    pan_y: float = 0.0
    cut_index: int = 0
    detail: float = 0.0
