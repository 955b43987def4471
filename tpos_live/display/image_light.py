"""How much more light an image takes: a bright one gets less of a drop's exposure, and less bloom.

Half a stop more makes cream of orange flames that fill the image. So the exposure of a drop is limited by the image's
own light, and saturation takes the place of what is left out: it changes neither the luminance nor the white parts.
Bloom, the glow around emitters, is a veil where most of the image emits.

Without state: each frame has the light that suits it, before a cut and after it, live and offline.
"""

from __future__ import annotations

import math

import numpy as np

BRIGHTEST = 0.38
"""Mean light, 0 to 1, of each pixel's highest channel up to which a drop lifts an image and bloom is whole. Ember's
have 0.05 to 0.25 for most prompts, 0.3 for a sunset and 0.44 to 0.58 for a fire."""
COLOUR = 0.8
"""Saturation in place of a stop of exposure."""
LEAST = 0.005
"""Stops: a drop's exposure below this is left as it is."""
VEIL = 3.0
"""Power by which bloom falls with the light of an image above BRIGHTEST: to 0.44 at a mean of 0.5."""
_SAMPLES = 48
"""Samples along the shorter side of a frame."""


def replaced_exposure(lift: float, exposure: float, light: float) -> float:
    """Stops of a drop's `lift` that saturation replaces, 0 to `lift`. exposure: stops without the drop. light: the
    image's (`mean_light`)."""
    if lift < LEAST:
        return 0.0
    room = math.log2(BRIGHTEST / max(light, 1e-3)) - exposure
    return min(max(lift - room, 0.0), lift)


def bloom_share(light: float) -> float:
    """Share of the bloom that an image with this light (`mean_light`) gets."""
    return min(BRIGHTEST / max(light, 1e-3), 1.0) ** VEIL


def mean_light(pixels: np.ndarray) -> float:
    """Mean light, 0 to 1, of each pixel's highest channel: it is the first to become white (`tone_mapping.py`).

    pixels: uint8 [h, w, 3]. Measured on some 48 pixels in each direction, which takes 10 microseconds.
    """
    stride = max(1, min(pixels.shape[:2]) // _SAMPLES)
    few = pixels[::stride, ::stride]
    top = np.maximum(np.maximum(few[..., 0], few[..., 1]), few[..., 2])
    return float(np.square(top, dtype=np.uint32).mean()) / 255**2
