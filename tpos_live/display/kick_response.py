"""Scales the zoom and the light of each kick, so that all kicks change the image by about the same visible amount.

The same zoom changes a frame with strong edges far from its centre much more than a dark frame with a soft object in
the middle. The engine's image also moves at a kick, by varying amounts. So the zoom of each kick is scaled by the
change of lightness on a coarse grid, from the frame before the kick to the frame with it: the sum of zoom, light and
the engine's motion is about the same at every kick. The exposure is set so that the mean luminance of the frame, toned
and with its bloom, rises by the kick's light alone: changes of luminance by zoom, bloom and engine are compensated.

The scale is chosen at the rising edge of a kick and held while it decays. The light follows the engine during the first
ATTACK_SECONDS, when a kick is most visible.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tpos_live.core.frame_params import FrameParams
from tpos_live.display.flash_limiter import luminance, means
from tpos_live.display.postfx import EMITTER, PostFxParams
from tpos_live.display.tone_mapping import WHOLE, Part, ToneMapping, toned

Light = Callable[[], np.ndarray]
"""Gives the light of the engine's image, [48, 48, 3] (`flash_limiter.py::samples`)."""

KICK_ZOOM = 0.065
"""Zoom of a kick of full strength by default (`core/parameters.py::MAP_DEFAULTS`)."""
CHANGE = 2.4
"""Mean change of CIE lightness, 0 to 100, at a kick with a zoom of KICK_ZOOM."""
BEATS = (0.0, 0.06, 0.1375)
RISES = (0.0, math.log2(1.07), math.log2(1.075))
"""Stops by which the mean luminance of the frame rises at a kick with an exposure of BEATS stops. The
target is 6 to 9 % for kicks of all strengths, also in a frame 40 ms after the kick, when its light has halved."""
SCALES = np.array([0.1, 0.4, 0.7, 1.0, 1.4, 2.0])
"""Factors on the zoom that are tried; the first and the last are the limits."""
MOST_HELP = 0.35
"""Largest compensation of zoom, bloom and engine by the exposure, in stops."""
ATTACK = 0.002
"""Rise of a kick's zoom from one shown frame to the next that counts as an attack."""
ATTACK_SECONDS = 0.09
"""A rise within this time belongs to the same kick."""
SMALLEST, LARGEST = 0.1, 1.5
"""Limits of the total zoom of a frame."""
SPREAD = 4
"""Side, in samples of the grid, of the squares over which half of the bloom is spread."""


@dataclass(frozen=True)
class _Shown:
    """A frame that was shown. stops: the part of its exposure that comes from beats. cut_index:
    `FrameParams.cut_index`."""

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
        self._before = np.zeros((1, 1))
        self._part = WHOLE

    def step(
        self, now: float, params: FrameParams, postfx: PostFxParams, light: Light, part: Part = WHOLE
    ) -> PostFxParams:
        """`postfx` with the kick's zoom and light for the frame at `now` (seconds).

        light: of this frame; called in the first ATTACK_SECONDS of a kick, and at the next frame if a kick begins
        there. part: what the output shows of the image (`tone_mapping.py::shown_part`). `params.kick_zoom` and
        `params.beat_light` are the parts of zoom and exposure that come from kicks and beats.
        """
        self._part = part
        kick, beats = params.kick_zoom, params.beat_light
        rising, self._last = kick > self._last + ATTACK, kick
        attack = 0.0 <= now - self._began < ATTACK_SECONDS
        if rising and not attack:
            self._began, attack = now, True
            self._before = self._frame_before(params, postfx, light)
        if attack and kick > 0.0:
            self._choose(params, postfx, light, rising)
        if kick > 0.0:
            held = min(kick / self._kick, 1.0) if self._kick > 0.0 else 0.0  # no attack yet: the zoom rises slowly
            beats = beats - self._off * held
            postfx = replace(
                postfx,
                zoom=min(max(postfx.zoom + (self.scale - 1.0) * kick, SMALLEST), LARGEST),
                exposure=postfx.exposure + beats - params.beat_light,
            )
        self._shown = _Shown(light, postfx, beats, params.cut_index)
        return postfx

    def _frame_before(self, params: FrameParams, postfx: PostFxParams, light: Light) -> np.ndarray:
        """Luminance [48, 48] of the frame before the kick; after a cut, of this frame without the kick. Its exposure
        without beats is raised to that of this frame: the light of a drop does not count as a change, its decay does.
        """
        stops = postfx.exposure - params.beat_light
        if self._shown is None or self._shown.cut_index != params.cut_index:
            zoom = max(postfx.zoom - params.kick_zoom, SMALLEST)
            return zoomed(Composed(light(), postfx)(stops - postfx.exposure), zoom, postfx.place, self._part)
        shown = self._shown
        stops = max(stops, shown.postfx.exposure - shown.stops)
        before = Composed(shown.light(), replace(shown.postfx, exposure=stops))(shown.stops)
        return zoomed(before, shown.postfx.zoom, shown.postfx.place, self._part)

    def _choose(self, params: FrameParams, postfx: PostFxParams, light: Light, rising: bool) -> None:
        """Set the scale if the kick rises, and the stops that are subtracted from its light."""
        kick, beats, place = params.kick_zoom, params.beat_light, postfx.place
        base, wanted = max(postfx.zoom - kick, SMALLEST), float(np.interp(beats, BEATS, RISES)) + min(beats, 0.0)
        mean = max(float(self._before.mean()), 1e-4) * 2.0**wanted
        seen = Composed(light(), replace(postfx, exposure=postfx.exposure - beats + wanted))
        frame = seen(0.0)
        if rising:
            self.scale = self._scale(frame, mean, base, kick, place)
        zoom = base + self.scale * kick
        first = more = _missing(mean, zoomed(frame, zoom, place, self._part))
        if more := _limited(more):
            # Luminance rises by nearly as many stops as the exposure: the second step is exact enough.
            left = _missing(mean, zoomed(seen(more), zoom, place, self._part))
            slope = max((first - left) / more, 0.5)
            more = _limited(more + left / slope)
        self._kick, self._off = kick, beats - wanted - more

    def _scale(self, frame: np.ndarray, mean: float, base: float, kick: float, place: tuple[float, float]) -> float:
        """The factor on the zoom at which the frame changes by CHANGE, or less where the light cannot be
        compensated."""
        before = _seen_lightness(self._before)
        changes: list[float] = []
        held = MOST_HELP
        for scale in SCALES:
            after = zoomed(frame, base + scale * kick, place, self._part)
            missing = _missing(mean, after)
            if changes and abs(missing) > held:
                break
            held = max(held, abs(missing))
            changes.append(float(np.abs(_seen_lightness(after * 2.0 ** _limited(missing)) - before).mean()))
        wanted = CHANGE * kick / KICK_ZOOM
        return float(np.interp(wanted, np.maximum.accumulate(changes), SCALES[: len(changes)]))


def _missing(mean: float, frame: np.ndarray) -> float:
    """Stops by which a frame's mean luminance is below `mean`."""
    return math.log2(mean / max(float(frame.mean()), 1e-4))


def _limited(stops: float) -> float:
    return min(max(stops, -MOST_HELP), MOST_HELP)


class Composed:
    """Luminance [48, 48] of light [48, 48, 3] as composed with `postfx` and more stops, before it is moved."""

    def __init__(self, light: np.ndarray, postfx: PostFxParams) -> None:
        emitted = light * np.clip((light.max(axis=2, keepdims=True) - EMITTER) / (1.0 - EMITTER), 0.0, 1.0)
        wide = means(emitted, SPREAD).repeat(SPREAD, axis=0).repeat(SPREAD, axis=1)
        self._light, self._spilled, self._postfx = light, 0.5 * (emitted + wide), postfx  # about as `bloom.py::RADII`

    def __call__(self, stops: float) -> np.ndarray:
        tone = ToneMapping.of(replace(self._postfx, exposure=self._postfx.exposure + stops))
        return luminance(toned(self._light, self._spilled, tone))


def _seen_lightness(frame: np.ndarray) -> np.ndarray:
    """CIE lightness [24, 24], 0 to 100 (CIE 15:2004 without its linear part near black), of luminance [48, 48],
    blurred by a binomial filter of 3 by 3: about what is visible from far away."""
    padded = np.pad(means(frame, 2), 1, mode="edge")
    rows = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    blurred = 0.25 * rows[:, :-2] + 0.5 * rows[:, 1:-1] + 0.25 * rows[:, 2:]
    return 116.0 * np.cbrt(np.clip(blurred, 0.0, 1.0) + 0.0026) - 16.0


def zoomed(light: np.ndarray, zoom: float, place: tuple[float, float], part: Part = WHOLE) -> np.ndarray:
    """Values [n, n] of an image as in an output that shows `part` of it, zoomed about `place` (bilinear)."""
    count = light.shape[0]
    at = (np.arange(count) + 0.5) / count - 0.5
    for axis, middle, share in ((1, place[0], part[0]), (0, place[1], part[1])):
        where = np.clip((at * share / zoom + 0.5 + middle) * count - 0.5, 0.0, count - 1.0)
        low = np.minimum(where.astype(int), count - 2)
        past = where - low
        past = past[None, :] if axis else past[:, None]
        light = light.take(low, axis) * (1.0 - past) + light.take(low + 1, axis) * past
    return light
