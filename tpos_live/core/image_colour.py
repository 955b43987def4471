"""Which way the colours of an image turn where a drop changes them: towards violet, so that they stay beautiful.

A turn of all hues by one angle suits no two images: it makes roses of a sunset one way and slime the other. Between
orange and green lie the hues that look dirty, so an image turns away from them: flames to magenta, a green aurora to
blue, a blue tunnel to violet. What is violet already, or of all colours, or grey, stays.

Without state: each frame turns as it needs, before a cut and after it, live and offline.
"""

from __future__ import annotations

import math

import numpy as np

TURN = 45.0
"""Degrees of a whole turn."""
GOAL = 280.0
"""The hue that colours turn to, in degrees from red over green on the plane of linear RGB without grey. Opposite to it,
on the side of yellow-green, an image stays as it is."""
SHARE = 1.6
"""An image whose colours lie on one side, by this part of a right angle or more, turns wholly."""
GREY = 0.005
"""Mean chroma up to which an image has hardly a colour."""
PLANE = np.array(((1.0, -0.5, -0.5), (0.0, math.sqrt(0.75), -math.sqrt(0.75))))
"""From linear RGB to the plane without grey; red lies on its first axis."""
ASIDE = PLANE.T @ np.array((-math.sin(math.radians(GOAL)), math.cos(math.radians(GOAL))))
"""How far linear RGB lies beside GOAL, towards red."""
_SAMPLES = 24
"""Samples along the shorter side of a frame."""


def turn_of(pixels: np.ndarray) -> float:
    """Degrees by which an image's hues turn, -TURN to TURN: above 0 from red towards green.

    pixels: uint8 [h, w, 3]. Measured on some 24 pixels in each direction, which takes 40 microseconds.
    """
    stride = max(1, min(pixels.shape[:2]) // _SAMPLES)
    light = np.square(pixels[::stride, ::stride].reshape(-1, 3).astype(np.float32) / 255.0)
    across, up = PLANE.astype(np.float32) @ light.T
    chroma = float(np.sqrt(across * across + up * up).mean()) + GREY
    aside = float(light.mean(0) @ ASIDE)
    return -TURN * min(max(SHARE * aside / chroma, -1.0), 1.0)
