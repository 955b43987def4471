"""How far a kick zooms and lights the frame of its moment, so that dark and bright frames answer alike.

The same zoom changes a frame with strong edges far from its centre much more than a dark one with a soft object in the
middle. So each kick's zoom is scaled by the change of lightness that it would make in the frame that is shown, on a
coarse grid. The zoom of a bright object over a dark ground also raises the mean luminance; that rise is taken off the
kick's light, so zoom and light together rise by the light alone.

The scale is chosen at the attack of a kick and held while it decays: between two kicks nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tpos_live.core.frame_params import FrameParams
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import LUMA

KICK_ZOOM, KICK_LIGHT = 0.065, 0.11
"""A usual kick of full strength (`core/parameters.py::MAP_DEFAULTS`): zoom, and stops."""
CHANGE = 2.4
"""Mean change of CIE lightness, 0 to 100, that a usual kick of full strength should make."""
SCALES = np.array([0.4, 0.7, 1.0, 1.4, 2.0])
"""Factors on the zoom that are tried; the outer ones are the limits."""
DARKEST = 0.06
"""Stops by which a kick may darken where the zoom alone is too bright; a zoom that is brighter still is reduced."""
ATTACK = 0.002
"""Rise of a kick's zoom from one shown frame to the next that is an attack."""
SMALLEST, LARGEST = 0.1, 1.5
"""Zoom of the frame, with everything."""
GRID = 24
"""Means on each side, blurred by one: about what the back row sees (`evaluation/show.py`)."""


class KickResponse:
    """State: the scale of the current kick. Thread contract: one thread; one call for each frame shown."""

    def __init__(self) -> None:
        self.scale = 1.0
        """Factor on the zoom of the current kick."""
        self._rise = 0.0
        self._before = 0.0

    def step(self, params: FrameParams, postfx: PostFxParams, light: Callable[[], np.ndarray]) -> PostFxParams:
        """`postfx` with the kick's zoom and light for this frame.

        light: gives the light of the shown frame, [48, 48, 3] (`flash_limiter.py::samples`); called at attacks only.
        `params.kick_zoom` and `params.beat_light` are the parts of zoom and exposure that are of kicks and beats.
        """
        kick = params.kick_zoom
        if kick > self._before + ATTACK:
            self._choose(params, postfx, light())
        self._before = kick
        if kick <= 0.0:
            return postfx
        zoom = self.scale * kick
        beats = max(params.beat_light - self._rise * zoom, min(params.beat_light, 0.0) - DARKEST)
        return replace(
            postfx,
            zoom=min(max(postfx.zoom + zoom - kick, SMALLEST), LARGEST),
            exposure=postfx.exposure + beats - params.beat_light,
        )

    def _choose(self, params: FrameParams, postfx: PostFxParams, light: np.ndarray) -> None:
        """Set the scale, and the stops by which a zoom of 1 raises the mean luminance."""
        size = light.shape[0] // GRID
        grid = light.reshape(GRID, size, GRID, size, 3).mean(axis=(1, 3)) @ np.array(LUMA)
        grid = _blurred(grid) * 2.0 ** (postfx.exposure - params.beat_light)
        base = max(postfx.zoom - params.kick_zoom, SMALLEST)
        before = zoomed(grid, base, postfx.place)
        mean, lightness = max(float(before.mean()), 1e-4), _lightness(before)
        changes, rises = [], []
        for scale in SCALES:
            after = zoomed(grid, base + scale * KICK_ZOOM, postfx.place)
            rise = math.log2(max(float(after.mean()), 1e-4) / mean)
            stops = max(KICK_LIGHT - rise, -DARKEST)
            changes.append(float(np.abs(_lightness(after * 2.0**stops) - lightness).mean()))
            rises.append(rise)
        wanted = np.interp(CHANGE, np.maximum.accumulate(changes), SCALES)
        allowed = np.interp(KICK_LIGHT + DARKEST, np.maximum.accumulate(rises), SCALES)
        self.scale = float(min(wanted, allowed))
        self._rise = float(np.interp(self.scale, SCALES, rises)) / (self.scale * KICK_ZOOM)


def zoomed(light: np.ndarray, zoom: float, place: tuple[float, float]) -> np.ndarray:
    """Values [n, n] after a zoom about the middle of the output, which shows `place` of the image (bilinear)."""
    count = light.shape[0]
    at = (np.arange(count) + 0.5) / count - 0.5
    for axis, middle in ((1, place[0]), (0, place[1])):
        where = np.clip((at / zoom + 0.5 + middle) * count - 0.5, 0.0, count - 1.0)
        low = np.minimum(where.astype(int), count - 2)
        part = where - low
        part = part[None, :] if axis else part[:, None]
        light = light.take(low, axis) * (1.0 - part) + light.take(low + 1, axis) * part
    return light


def _blurred(values: np.ndarray) -> np.ndarray:
    """A binomial blur of 3 by 3."""
    padded = np.pad(values, 1, mode="edge")
    rows = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return 0.25 * rows[:, :-2] + 0.5 * rows[:, 1:-1] + 0.25 * rows[:, 2:]


def _lightness(light: np.ndarray) -> np.ndarray:
    """CIE lightness, 0 to 100, of luminance 0 to 1 (CIE 15:2004 without its linear part near black)."""
    return 116.0 * np.cbrt(np.clip(light, 0.0, 1.0) + 0.0026) - 16.0
