"""How far a kick zooms and lights the frame of its moment, so that all kicks are seen alike.

The same zoom changes a frame with strong edges far from its centre much more than a dark one with a soft object in the
middle, and the engine's image itself moves at a kick, now more, now less. So each kick's zoom is scaled by what changes
on a coarse grid from the frame before the kick to the frame with it: zoom, light and the engine's motion together
change it by about as much at every kick. The mean luminance rises by the kick's light alone: what zoom and engine add
is taken off the light, and what they take is added.

The scale is chosen where the kick rises and held while it decays; the light follows the engine for the first
ATTACK_SECONDS, in which a kick is seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tpos_live.core.frame_params import FrameParams
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import LUMA

Light = Callable[[], np.ndarray]

KICK_ZOOM = 0.065
"""Zoom of a usual kick of full strength (`core/parameters.py::MAP_DEFAULTS`)."""
CHANGE = 2.4
"""Mean change of CIE lightness, 0 to 100, at a usual kick of full strength."""
MOST_LIGHT = math.log2(1.085)
"""Most stops by which the frame may lighten at a kick: bloom adds half a percent, and 6 to 9 % are wanted."""
SCALES = np.array([0.1, 0.4, 0.7, 1.0, 1.4, 2.0])
"""Factors on the zoom that are tried; the outer ones are the limits."""
DARKEST, BRIGHTEST = 0.2, 0.25
"""Largest change of the exposure, in stops, against what zoom and engine change."""
ATTACK = 0.002
"""Rise of a kick's zoom from one shown frame to the next that is an attack."""
ATTACK_SECONDS = 0.09
"""A rise within this time belongs to the same kick."""
SMALLEST, LARGEST = 0.1, 1.5
"""Zoom of the frame, with everything."""
GRID = 24
"""Means on each side, blurred by one: about what the back row sees (`evaluation/show.py`)."""


@dataclass(frozen=True)
class _Shown:
    """A frame that was shown. stops: its exposure by beats. cut_index: `FrameParams.cut_index`."""

    light: Light
    postfx: PostFxParams
    stops: float
    cut_index: int


class KickResponse:
    """State: the current kick, and the frame before it. Thread contract: one thread; one call for each frame shown."""

    def __init__(self) -> None:
        self.scale = 1.0
        """Factor on the zoom of the current kick."""
        self._kick, self._off = 0.0, 0.0
        self._last = 0.0
        self._began = -math.inf
        self._shown: _Shown | None = None
        self._before = np.zeros((GRID, GRID))

    def step(self, now: float, params: FrameParams, postfx: PostFxParams, light: Light) -> PostFxParams:
        """`postfx` with the kick's zoom and light for the frame at `now` (seconds).

        light: gives the light of the shown frame, [48, 48, 3] (`flash_limiter.py::samples`); called in the first
        ATTACK_SECONDS of a kick, and at the next frame if a kick begins there. `params.kick_zoom` and
        `params.beat_light` are the parts of zoom and exposure that are of kicks and beats.
        """
        kick, beats = params.kick_zoom, params.beat_light
        rising, self._last = kick > self._last + ATTACK, kick
        attack = 0.0 <= now - self._began < ATTACK_SECONDS
        if rising and not attack:
            self._began, attack = now, True
            self._before = self._frame_before(params, postfx, light)
        if attack and kick > 0.0:
            self._choose(params, postfx, light, rising)
        if kick > 0.0:
            held = min(kick / self._kick, 1.0) if self._kick > 0.0 else 0.0  # none began yet: a zoom that rises slowly
            beats = min(max(beats - self._off * held, -DARKEST), BRIGHTEST)
            postfx = replace(
                postfx,
                zoom=min(max(postfx.zoom + (self.scale - 1.0) * kick, SMALLEST), LARGEST),
                exposure=postfx.exposure + beats - params.beat_light,
            )
        self._shown = _Shown(light, postfx, beats, params.cut_index)
        return postfx

    def _frame_before(self, params: FrameParams, postfx: PostFxParams, light: Light) -> np.ndarray:
        """Luminance [24, 24] of the frame before the kick, with this frame's exposure but for beats: a drop's light is
        no change. After a cut, of this frame without the kick."""
        stops = postfx.exposure - params.beat_light
        if self._shown is None or self._shown.cut_index != params.cut_index:
            return zoomed(_grid(light(), stops), max(postfx.zoom - params.kick_zoom, SMALLEST), postfx.place)
        shown = self._shown
        return zoomed(_grid(shown.light(), stops + shown.stops), shown.postfx.zoom, shown.postfx.place)

    def _choose(self, params: FrameParams, postfx: PostFxParams, light: Light, rising: bool) -> None:
        """Set the scale where the kick rises, and the stops that are taken off its light."""
        kick, beats = params.kick_zoom, params.beat_light
        base, wanted = max(postfx.zoom - kick, SMALLEST), min(beats, MOST_LIGHT)
        grid = _grid(light(), postfx.exposure - beats)
        mean, lightness = max(float(self._before.mean()), 1e-4), _lightness(self._before)
        changes, rises = [], []
        for scale in SCALES if rising else (self.scale,):
            after = zoomed(grid, base + scale * kick, postfx.place)
            rise = math.log2(max(float(after.mean()), 1e-4) / mean)
            stops = min(max(wanted - rise, -DARKEST), BRIGHTEST)
            changes.append(float(np.abs(_lightness(after * 2.0**stops) - lightness).mean()))
            rises.append(rise)
        if rising:
            self.scale = float(np.interp(CHANGE * kick / KICK_ZOOM, np.maximum.accumulate(changes), SCALES))
            rises = list(np.interp([self.scale], SCALES, rises))
        self._kick, self._off = kick, rises[0] + beats - wanted


def _grid(light: np.ndarray, stops: float) -> np.ndarray:
    """Luminance [24, 24] of light [48, 48, 3], blurred, with an exposure of `stops`."""
    size = light.shape[0] // GRID
    means = light.reshape(GRID, size, GRID, size, 3).mean(axis=(1, 3)) @ np.array(LUMA)
    return _blurred(means) * 2.0**stops


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
