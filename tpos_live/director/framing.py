"""Framing: the frame's position in the image and its motion, wide and slow in calm parts, close and off centre at
peaks.

A shot is a size, a position, a slow zoom (push), and the place of the scene beside a prompt. Shots change by an ease or
a cut.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

from tpos_live.core.direction import BREAKDOWN, BUILD_UP, INTRO, MAIN, PEAK, SILENCE
from tpos_live.core.envelope import ease
from tpos_live.features.features import HOP_SECONDS


@dataclass(frozen=True, slots=True)
class Shot:
    """zoom: 0.1 = 10 % larger. x, y: fractions of the image to the right and down. roll: degrees. push: zoom per
    second. drift_x, drift_y: of the noise, in frame widths and heights per second. across, down, aside: as in
    `Direction`."""

    zoom: float = 0.0
    x: float = 0.0
    y: float = 0.0
    roll: float = 0.0
    push: float = 0.0
    drift_x: float = 0.0
    drift_y: float = 0.0
    across: float = 0.0
    down: float = 0.0
    aside: float = 0.0


@dataclass(frozen=True, slots=True)
class _Style:
    """Range of the shots of a section. zoom: lowest and highest. push: zoom per second. drift: of the noise, in frame
    widths per second."""

    zoom: tuple[float, float]
    push: float
    drift: float


STYLES = {
    SILENCE: _Style((0.0, 0.02), 0.0, 0.005),
    INTRO: _Style((0.0, 0.05), 0.002, 0.01),
    BREAKDOWN: _Style((0.0, 0.06), 0.002, 0.012),
    MAIN: _Style((0.05, 0.14), 0.003, 0.025),
    BUILD_UP: _Style((0.08, 0.14), 0.006, 0.03),
    PEAK: _Style((0.1, 0.22), 0.004, 0.05),
}
ALONE = {**STYLES, **dict.fromkeys((INTRO, BREAKDOWN), _Style((0.02, 0.16), 0.004, 0.04))}
"""The same without a prompt: there the motion of the frame is most of what changes in a calm part."""
PLACES = {"left": (-1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0), "above": (0.0, -1.0, 0.0), "below": (0.0, 1.0, 0.0),
          "sides": (0.0, 0.0, 1.0)}  # fmt: skip
"""Places of a scene beside a prompt, as (across, down, aside) of `Direction`."""
OPENING = Shot(aside=1.0)
"""Shot before the first decision, and without music."""
LARGEST = 0.3
"""Zoom at which the push stops: an image of 256 pixels gets soft beyond."""
ROLL = 2.0
"""Largest roll, degrees."""


def draw(
    section: str, before: Shot, rng: random.Random, places: Sequence[str] = tuple(PLACES), prompted: bool = True
) -> Shot:
    """A random shot for a section, on the other side and at another place than `before`. places: names of PLACES that
    suit the scene. prompted: whether the image has a prompt."""
    style = (STYLES if prompted else ALONE)[section]
    zoom = rng.uniform(*style.zoom)
    # At this distance from the centre the frame touches the edge of the image.
    reach = 0.5 * zoom / (1.0 + zoom)
    side = -1.0 if before.x > 0 else 1.0
    x = side * reach * rng.uniform(0.5, 1.0)
    y = 0.5 * reach * rng.uniform(-1.0, 1.0)
    angle = rng.uniform(-math.pi, math.pi)
    others = [PLACES[name] for name in places if PLACES[name] != (before.across, before.down, before.aside)]
    place = rng.choice(others or [PLACES[name] for name in places])
    push = style.push * (1.0 if before.push <= 0 or section == BUILD_UP else -0.5)
    return Shot(
        zoom, x, y, ROLL * rng.uniform(-1, 1) * zoom / 0.3, push,
        style.drift * math.cos(angle), 0.5 * style.drift * math.sin(angle), *place,
    )  # fmt: skip


@dataclass
class Framing:
    """Eases from shot to shot. One step per hop. shown: the current state between two shots."""

    shown: Shot = OPENING
    _from: Shot = OPENING
    _to: Shot = OPENING
    _progress: float = 1.0
    _seconds: float = 1.0

    def take(self, shot: Shot, seconds: float) -> None:
        """Start an ease to a shot in `seconds`; 0 = cut."""
        self._from, self._to = self.shown, shot
        self._progress, self._seconds = (0.0, seconds) if seconds > 0 else (1.0, 1.0)
        if seconds <= 0:
            self.shown = shot

    def step(self) -> Shot:
        """The shot of this hop."""
        zoom = self._to.zoom + self._to.push * HOP_SECONDS
        if 0.0 <= zoom <= LARGEST:
            self._to = replace(self._to, zoom=zoom)
        if self._progress < 1.0:
            self._progress = min(self._progress + HOP_SECONDS / self._seconds, 1.0)
        weight = ease(self._progress)
        self.shown = self._to
        if weight < 1.0:
            self.shown = _between(self._from, self._to, weight)
        return self.shown


def _between(old: Shot, new: Shot, weight: float) -> Shot:
    """The shot on the way from `old` to `new`. weight: 0 to 1. The scene beside a prompt moves around the subject: from
    an edge to the opposite one over both sides."""
    shot = Shot(*(a + (b - a) * weight for a, b in zip(astuple(old), astuple(new), strict=True)))
    return replace(shot, aside=max(shot.aside, 1.0 - abs(shot.across) - abs(shot.down)))
