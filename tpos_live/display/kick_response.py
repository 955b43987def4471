"""How far a kick zooms and lights the frame of its moment, so that all kicks are seen alike.

The same zoom changes a frame with strong edges far from its centre much more than a dark one with a soft object in the
middle, and the engine's image itself moves at a kick, now more, now less. So each kick's zoom is scaled by what changes
on a coarse grid from the frame before the kick to the frame with it: zoom, light and the engine's motion together
change it by about as much at every kick. Its exposure is set so that the mean luminance of the frame, toned and with
its bloom, rises by the kick's light alone: what zoom, bloom and engine add is taken off, and what they take is added.

The scale is chosen where the kick rises and held while it decays; the light follows the engine for the first
ATTACK_SECONDS, in which a kick is seen.
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

KICK_ZOOM = 0.065
"""Zoom of a usual kick of full strength (`core/parameters.py::MAP_DEFAULTS`)."""
CHANGE = 2.4
"""Mean change of CIE lightness, 0 to 100, at a usual kick of full strength."""
BEATS = (0.0, 0.06, 0.1375)
RISES = (0.0, math.log2(1.07), math.log2(1.075))
"""Stops by which the mean luminance of the frame rises at a kick with an exposure of BEATS stops. Kicks of all
strengths are wanted at 6 to 9 %, also in a frame that comes 40 ms after the kick, where its light has halved."""
SCALES = np.array([0.1, 0.4, 0.7, 1.0, 1.4, 2.0])
"""Factors on the zoom that are tried; the outer ones are the limits."""
MOST_HELP = 0.35
"""Largest change of the exposure, in stops, against what zoom, bloom and engine change."""
ATTACK = 0.002
"""Rise of a kick's zoom from one shown frame to the next that is an attack."""
ATTACK_SECONDS = 0.09
"""A rise within this time belongs to the same kick."""
SMALLEST, LARGEST = 0.1, 1.5
"""Zoom of the frame, with everything."""
SPREAD = 4
"""Places over which half of the bloom is spread."""


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
        self._before = np.zeros((1, 1))
        self._part = WHOLE

    def step(
        self, now: float, params: FrameParams, postfx: PostFxParams, light: Light, part: Part = WHOLE
    ) -> PostFxParams:
        """`postfx` with the kick's zoom and light for the frame at `now` (seconds).

        light: gives the light of the engine's image, [48, 48, 3] (`flash_limiter.py::samples`); called in the first
        ATTACK_SECONDS of a kick, and at the next frame if a kick begins there. part: what the output shows of the image
        (`tone_mapping.py::shown_part`). `params.kick_zoom` and `params.beat_light` are the parts of zoom and exposure
        that are of kicks and beats.
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
            held = min(kick / self._kick, 1.0) if self._kick > 0.0 else 0.0  # none began yet: a zoom that rises slowly
            beats = beats - self._off * held
            postfx = replace(
                postfx,
                zoom=min(max(postfx.zoom + (self.scale - 1.0) * kick, SMALLEST), LARGEST),
                exposure=postfx.exposure + beats - params.beat_light,
            )
        self._shown = _Shown(light, postfx, beats, params.cut_index)
        return postfx

    def _frame_before(self, params: FrameParams, postfx: PostFxParams, light: Light) -> np.ndarray:
        """Luminance [48, 48] of the frame before the kick. Where the exposure but for beats has risen, with that of
        this frame: a drop's light is no change, its decay is one. After a cut, of this frame without the kick."""
        stops = postfx.exposure - params.beat_light
        if self._shown is None or self._shown.cut_index != params.cut_index:
            zoom = max(postfx.zoom - params.kick_zoom, SMALLEST)
            return zoomed(Composed(light(), postfx)(stops - postfx.exposure), zoom, postfx.place, self._part)
        shown = self._shown
        stops = max(stops, shown.postfx.exposure - shown.stops)
        before = Composed(shown.light(), replace(shown.postfx, exposure=stops))(shown.stops)
        return zoomed(before, shown.postfx.zoom, shown.postfx.place, self._part)

    def _choose(self, params: FrameParams, postfx: PostFxParams, light: Light, rising: bool) -> None:
        """Set the scale where the kick rises, and the stops that are taken off its light."""
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
        """The factor on the zoom at which the frame changes as wanted, or less where its light could not be held."""
        before = _back_row(self._before)
        changes: list[float] = []
        held = MOST_HELP
        for scale in SCALES:
            after = zoomed(frame, base + scale * kick, place, self._part)
            missing = _missing(mean, after)
            if changes and abs(missing) > held:
                break
            held = max(held, abs(missing))
            changes.append(float(np.abs(_back_row(after * 2.0 ** _limited(missing)) - before).mean()))
        wanted = CHANGE * kick / KICK_ZOOM
        return float(np.interp(wanted, np.maximum.accumulate(changes), SCALES[: len(changes)]))


def _missing(mean: float, frame: np.ndarray) -> float:
    """Stops that a frame's mean luminance is below `mean`."""
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


def _back_row(frame: np.ndarray) -> np.ndarray:
    """CIE lightness [24, 24], 0 to 100 (CIE 15:2004 without its linear part near black), of luminance [48, 48],
    blurred by a binomial of 3 by 3: about what the back row sees."""
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
