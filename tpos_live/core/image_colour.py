"""The angle by which a drop rotates the hues of an image: towards violet.

A fixed angle suits few images: one direction turns a sunset pink, the other turns it yellow-green. Hues between orange
and green look dirty, so an image turns away from them: a green aurora to blue, a blue tunnel to violet. Warm images do
not change: flames that turn towards red by 5 degrees have pink edges, by 15 they are the colour of salmon. Nor do
images that are violet, multicoloured or grey.

Stateless: the angle depends on the frame alone, before and after a cut, live and offline.
"""

from __future__ import annotations

import math

import numpy as np

LARGEST = 45.0
"""Largest angle in degrees, from green to blue."""
GOAL = 280.0
"""Target hue in degrees, from red towards green, in the chroma plane of linear RGB. From the opposite hue,
yellow-green, over red to this one the angle is 0."""
SHARE = 1.6
"""Gain from the mean offset from GOAL, relative to the mean chroma, to the angle: it is largest at 1 / SHARE."""
GREY = 0.005
"""Added to the mean chroma, so that nearly grey images turn little."""
PLANE = np.array(((1.0, -0.5, -0.5), (0.0, math.sqrt(0.75), -math.sqrt(0.75))))
"""Projection from linear RGB to the chroma plane; red lies on its first axis."""
ASIDE = PLANE.T @ np.array((-math.sin(math.radians(GOAL)), math.cos(math.radians(GOAL))))
"""Projection from linear RGB to the offset from GOAL, positive towards red."""
_SAMPLES = 24
"""Samples along the shorter side of a frame."""


def turn_of(pixels: np.ndarray) -> float:
    """Angle in degrees by which an image's hues turn, 0 to LARGEST, from red towards green.

    pixels: uint8 [h, w, 3]. Measured on about 24 pixels in each direction, which takes 40 microseconds.
    """
    stride = max(1, min(pixels.shape[:2]) // _SAMPLES)
    light = np.square(pixels[::stride, ::stride].reshape(-1, 3).astype(np.float32) / 255.0)
    across, up = PLANE.astype(np.float32) @ light.T
    chroma = float(np.sqrt(across * across + up * up).mean()) + GREY
    aside = float(light.mean(0) @ ASIDE)
    return LARGEST * min(max(-SHARE * aside / chroma, 0.0), 1.0)
