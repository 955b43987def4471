"""Computes the post-processing parameters of one frame from the sound, the parameters and the light of its image.

A bright image gets less of a drop's exposure, and less bloom. Half a stop more turns orange flames that fill the image
to cream. So the image's own light limits the exposure of a drop, and saturation replaces the rest: it changes neither
the luminance nor the white parts. Bloom, the glow around emitters, lowers the contrast where most of the image emits.
If the bright images of an engine are pale, they get more saturation from VIVID on, and less exposure from BRIGHTEST on;
images that are nearly white, such as paper, do not. Where an image of such an engine is nearly grey, its own colours
are deepened. Nothing here has state: the values of a frame depend on that frame alone, also at a cut, live and offline.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot

Fit = Literal["cover", "contain", "mirror"]

FASTEST_BLEND = 0.02
"""Engine intervals below this (seconds) need no interpolated frames."""
MIN_SIMILARITY = 0.55
"""Correlation below which two frames are not blended: that would show a double exposure."""
REACH = 0.25
"""Largest drift of a frame while the engine is stalled, in fractions of the frame."""
DETAIL_TURNS = 0.2
"""Rotations of the turbulence per unit of the noise position."""
MOST_SATURATION = 2.0
EMITTER = 0.3
"""Light (coded value squared) above which an area emits bloom, increasingly."""
GRAIN_RATE = 24
"""Grain patterns per second, as in film."""
BRIGHTEST = 0.38
"""Mean light, 0 to 1, of each pixel's highest channel up to which a drop and bloom act in full. Ember's images
have 0.05 to 0.25 for most prompts, 0.3 for a sunset and 0.44 to 0.58 for a fire."""
COLOUR = 0.8
"""Saturation that replaces one stop of exposure."""
LEAST = 0.005
"""Stops of a drop's exposure from which it is limited."""
VIVID = 0.22
"""Light from which an image gets more saturation."""
DEEPER, DARKER = 0.5, 0.5
"""Saturation that is added per stop above VIVID, and stops of exposure that are subtracted per stop above BRIGHTEST. In
a fire at full intensity 20 % of the pixels are pale, instead of 39 %."""
MOST_DEEPER, MOST_DARKER = 0.6, 0.3
"""Limits of both."""
PAPER = 0.6
"""Light from which both fall linearly, to 0 at a light of 1."""
COLOURFUL = 0.8
"""Saturation (`Frame.saturation`) below which the colours of an image are deepened. Ember's images have 0.4 to 0.9, an
eclipse and a storm 0.36, and a galaxy 0.16. With it, no pixel of 16 prompts has an OKLCH chroma above 0.25."""
MOST_COLOUR, MONOCHROME = 1.0, 0.1
"""Saturation that such an image gets at most, relative to its own; and the saturation below which this falls to 0,
because an image in black and white has no colours to deepen."""
VEIL = 3.0
"""Exponent by which bloom falls for images brighter than BRIGHTEST: to 0.44 at a mean light of 0.5."""


@dataclass(frozen=True)
class PostFxParams:
    """zoom: factor, 1.03 = 3 % larger. place: where the frame stands in the enlarged image, off its centre, in
    fractions of the image to the right and down. rotate: degrees clockwise. mix: 0 shows the previous frame, 1 the
    newest. contrast, mean: contrast of the blend about its mean colour (sRGB 0 to 1), which compensates the loss by
    averaging. pan_old, pan_new: displacement of each frame's content, in fractions, to the right and down. bloom:
    strength. exposure: stops. saturation: 1 = unchanged. hue: degrees by which colours turn, from red to green.
    level: master fade 0 to 1. grain: standard deviation, 1 = full scale. seed: of grain and dither. detail:
    displacement by turbulence, standard deviation in engine pixels, where the frame is enlarged. detail_turn:
    rotations of the turbulence so far. detail_at: its drift, as pan_new."""

    zoom: float = 1.0
    place: tuple[float, float] = (0.0, 0.0)
    rotate: float = 0.0
    mix: float = 1.0
    contrast: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pan_old: tuple[float, float] = (0.0, 0.0)
    pan_new: tuple[float, float] = (0.0, 0.0)
    bloom: float = 0.0
    exposure: float = 0.0
    saturation: float = 1.0
    hue: float = 0.0
    level: float = 1.0
    grain: float = 0.0
    seed: int = 0
    detail: float = 0.0
    detail_turn: float = 0.0
    detail_at: tuple[float, float] = (0.0, 0.0)
    fit: Fit = "cover"
    blackout: bool = False

    @property
    def shown_level(self) -> float:
        """Master level, 0 in blackout."""
        return 0.0 if self.blackout else min(max(self.level, 0.0), 1.0)


def postfx_params(
    params: FrameParams,
    snapshot: Snapshot,
    previous: Frame | None,
    newest: Frame | None,
    now: float,
    engine_interval: float,
) -> PostFxParams:
    """The parameters at `now` (seconds, the clock of Frame.drawn_at).

    engine_interval: measured seconds between engine frames. Events (zoom, rotate, exposure, bloom) are taken from
    `params` unsmoothed, so they show at the next refresh; level follows the fader at once even if the audio thread
    stalls. A bright frame gets less bloom and less of a drop's exposure.
    """
    between = _Interpolation()
    if newest is not None and snapshot["out.inbetween"]:
        between = _interpolation(params, previous, newest, now, engine_interval)
    mix = between.mix
    light = _blended(lambda frame: frame.light, previous, newest, mix)
    turn = _blended(lambda frame: frame.turn, previous, newest, mix) if params.direction.hue > 0.0 else 0.0
    steady = params.exposure - params.beat_light - params.drop_light
    replaced = replaced_exposure(params.drop_light, steady, light)
    vivid = newest.vivid if newest is not None else 0.0
    deeper, darker = depth(light, vivid)
    if vivid > 0.0:
        deeper = max(deeper, vivid * colour_gain(_blended(lambda frame: frame.saturation, previous, newest, mix)))
    return PostFxParams(
        zoom=max(1.0 + params.zoom, 0.1),
        place=(params.direction.x, params.direction.y),
        rotate=params.rotate,
        **between._asdict(),
        bloom=max(params.bloom, 0.0) * bloom_share(light),
        exposure=params.exposure - replaced - darker,
        saturation=min(max(params.saturation, 0.0) * (1.0 + deeper) + COLOUR * replaced, MOST_SATURATION),
        hue=params.direction.hue * turn,
        level=min(params.level, snapshot["out.level"]),
        grain=max(params.grain, 0.0),
        seed=int(now * GRAIN_RATE) & 0x7FFFFFFF,
        detail=newest.detail * snapshot["finish.detail"] if newest is not None else 0.0,
        detail_turn=DETAIL_TURNS * params.noise_position,
        detail_at=(params.pan_x, -params.pan_y),
        fit=snapshot["out.fit"],
        blackout=snapshot["out.blackout"],
    )


class _Interpolation(NamedTuple):
    """The fields of PostFxParams of these names."""

    mix: float = 1.0
    contrast: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pan_old: tuple[float, float] = (0.0, 0.0)
    pan_new: tuple[float, float] = (0.0, 0.0)


def _interpolation(
    params: FrameParams, previous: Frame | None, newest: Frame, now: float, engine_interval: float
) -> _Interpolation:
    """How two frames are shown between them; arguments as for `postfx_params`.

    The previous frame fades into the newest during one engine interval. Both are moved to the current drift, so that
    moving fields align; frames with different cut_index or low similarity are cut. The average of two frames with
    correlation r keeps sqrt(a^2 + b^2 + 2abr) of the contrast (a + b = 1); the blend is divided by that.
    """
    pan_new = (_soften(params.pan_x - newest.pan_x), _soften(newest.pan_y - params.pan_y))
    if previous is None or previous.cut_index != newest.cut_index or engine_interval <= FASTEST_BLEND:
        return _Interpolation(pan_new=pan_new)
    step = (newest.pan_x - previous.pan_x, previous.pan_y - newest.pan_y)
    pan_old = (pan_new[0] + step[0], pan_new[1] + step[1])
    mix = min(max((now - newest.drawn_at) / engine_interval, 0.0), 1.0)
    if mix == 1.0:
        return _Interpolation(pan_old=pan_old, pan_new=pan_new)
    similarity, mean = _similarity(previous.pixels, newest.pixels, step)
    if similarity < MIN_SIMILARITY:
        return _Interpolation(mean=mean, pan_old=pan_old, pan_new=pan_new)
    contrast = 1.0 / math.sqrt(mix**2 + (1 - mix) ** 2 + 2 * mix * (1 - mix) * similarity)
    return _Interpolation(mix, contrast, mean, pan_old, pan_new)


def _blended(value: Callable[[Frame], float], previous: Frame | None, newest: Frame | None, mix: float) -> float:
    """A value of the image, which is a blend of two frames; 0 without a frame."""
    if newest is None:
        return 0.0
    return value(newest) if previous is None or mix >= 1.0 else mix * value(newest) + (1.0 - mix) * value(previous)


def replaced_exposure(lift: float, exposure: float, light: float) -> float:
    """Stops of a drop's `lift` that saturation replaces, 0 to `lift`. exposure: stops without the drop. light: the
    image's (`Frame.light`)."""
    if lift < LEAST:
        return 0.0
    room = math.log2(BRIGHTEST / max(light, 1e-3)) - exposure
    return min(max(lift - room, 0.0), lift)


def depth(light: float, vivid: float) -> tuple[float, float]:
    """Part by which an image with this light (`Frame.light`) gets more saturation, and stops of exposure less. vivid:
    share of that, 0 to 1."""
    whole = vivid * min((1.0 - light) / (1.0 - PAPER), 1.0)
    above_vivid, above_bright = (max(math.log2(max(light, 1e-3) / start), 0.0) for start in (VIVID, BRIGHTEST))
    return whole * min(DEEPER * above_vivid, MOST_DEEPER), whole * min(DARKER * above_bright, MOST_DARKER)


def colour_gain(saturation: float) -> float:
    """Part by which an image with this saturation (`Frame.saturation`) gets more of it, 0 to MOST_COLOUR."""
    missing = COLOURFUL / max(saturation, 1e-3) - 1.0
    return min(max(missing, 0.0), MOST_COLOUR) * min(saturation / MONOCHROME, 1.0)


def bloom_share(light: float) -> float:
    """Share of the bloom that an image with this light (`Frame.light`) gets."""
    return min(BRIGHTEST / max(light, 1e-3), 1.0) ** VEIL


def _soften(distance: float) -> float:
    """Soft clipping: small distances are kept, large ones approach REACH."""
    return REACH * math.tanh(distance / REACH)


def _similarity(
    old: np.ndarray, new: np.ndarray, step: tuple[float, float]
) -> tuple[float, tuple[float, float, float]]:
    """Correlation of two frames after moving the old one by `step`, and their mean colour.

    Measured on one pixel in about 48 in each direction, which takes some 50 microseconds.
    """
    if old.shape != new.shape:
        return 0.0, (0.0, 0.0, 0.0)
    height, width = new.shape[:2]
    dx, dy = round(step[0] * width), round(step[1] * height)
    if abs(dx) >= width // 2 or abs(dy) >= height // 2:
        return 0.0, (0.0, 0.0, 0.0)
    stride = max(1, min(height, width) // 48)
    a = old[max(-dy, 0) : height - max(dy, 0) : stride, max(-dx, 0) : width - max(dx, 0) : stride]
    b = new[max(dy, 0) : height - max(-dy, 0) : stride, max(dx, 0) : width - max(-dx, 0) : stride]
    x = a.reshape(-1, 3).astype(np.float32) / 255
    y = b.reshape(-1, 3).astype(np.float32) / 255
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    xx, yy, xy = float((x * x).sum()), float((y * y).sum()), float((x * y).sum())
    tiny = 1e-4 * x.size
    similarity = 1.0 if max(xx, yy) < tiny else xy / math.sqrt(max(xx, tiny) * max(yy, tiny))
    mean = (mean_x + mean_y) / 2
    return similarity, (float(mean[0]), float(mean[1]), float(mean[2]))
