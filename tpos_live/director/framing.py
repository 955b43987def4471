"""Where the frame stands in the image and how it moves: wide and slow in calm parts, close and off centre at peaks.

A shot is a size, a place and a slow push of the camera, and where beside a prompt the scene lies. From shot to shot
all of it moves with an ease, or cuts.
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
    second. drift_x, drift_y: of the noise, widths and heights a second. across, down, aside: as of `Direction`."""

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
    """Shots of a section. zoom: lowest and highest. push: zoom per second. drift: speed of the noise."""

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
PLACES = {"left": (-1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0), "above": (0.0, -1.0, 0.0), "below": (0.0, 1.0, 0.0),
          "sides": (0.0, 0.0, 1.0)}  # fmt: skip
"""Across, down and aside of the places of a scene beside a prompt."""
OPENING = Shot(aside=1.0)
"""Before the first decision, and where there is no music."""
LARGEST = 0.3
"""Zoom up to which a shot pushes in: an image of 256 pixels gets soft beyond."""
ROLL = 2.0
"""Largest roll, degrees."""


def draw(section: str, before: Shot, rng: random.Random, places: Sequence[str] = tuple(PLACES)) -> Shot:
    """A shot for a section, elsewhere than the one before. places: those that suit the scene, of PLACES."""
    style = STYLES[section]
    zoom = rng.uniform(*style.zoom)
    # The frame may stand so far off the centre that it just touches the image's edge.
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
    """Moves from shot to shot. One step per hop."""

    shown: Shot = OPENING
    _from: Shot = OPENING
    _to: Shot = OPENING
    _at: float = 1.0
    _seconds: float = 1.0

    def take(self, shot: Shot, seconds: float) -> None:
        """Go to a shot in `seconds`; 0 cuts."""
        self._from, self._to = self.shown, shot
        self._at, self._seconds = (0.0, seconds) if seconds > 0 else (1.0, 1.0)
        if seconds <= 0:
            self.shown = shot

    def step(self) -> Shot:
        """The shot of this hop."""
        zoom = self._to.zoom + self._to.push * HOP_SECONDS
        if 0.0 <= zoom <= LARGEST:
            self._to = replace(self._to, zoom=zoom)
        if self._at < 1.0:
            self._at = min(self._at + HOP_SECONDS / self._seconds, 1.0)
        part = ease(self._at)
        self.shown = self._to
        if part < 1.0:
            both = zip(astuple(self._from), astuple(self._to), strict=True)
            self.shown = Shot(*(a + (b - a) * part for a, b in both))
        return self.shown
