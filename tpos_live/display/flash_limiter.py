"""The flash limiter: at most three general flashes in any second.

WCAG 2.3.1: a general flash is a pair of opposing changes of relative luminance by 10 % of its range or more, where the
darker one is below 0.80, over more than a quarter of ten degrees of the visual field; here over a quarter of the frame,
connected or not. A flash needs a rise, so rises are counted, and a fourth one within a second is limited by
dimming the whole frame. Falls are never limited.

It analyses the frame that is about to be shown, from the engine frame on a coarse grid and the PostFxParams, and
returns a factor for the master level, so both compositors behave alike. A zoom, rotation or shift that moves bright
areas also counts. A margin covers what the grid does not contain: grain, details between samples, bloom.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from tpos_live.core.frame import Frame
from tpos_live.core.srgb import linear_to_srgb, srgb_to_linear
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import LUMA, WHOLE, Part, ToneMapping, to_coded, to_light, toned

MOST = 3
"""Flashes within WITHIN seconds."""
WITHIN = 1.05
"""Seconds; the rule says 1."""
CHANGE = 0.08
"""Change of relative luminance that counts; the rule says 0.10."""
AREA = 0.2
"""Share of the frame that counts; the rule says 0.25."""
BRIGHT = 0.8
"""A change is no flash where the darker state is brighter than this."""
RECOVER = 0.7
"""Recovery of the master level per second."""
GRID = 12
"""Cells of the frame along each side."""
_SAMPLES = 4
"""Samples of a cell along each side."""
_COUNT = GRID * _SAMPLES


class FlashLimiter:
    """State: the recent luminance of each cell. Thread contract: one thread; time is passed in."""

    def __init__(self) -> None:
        self.gain = 1.0
        """Factor for the master level at the last step."""
        self._low = np.zeros(GRID * GRID)  # the screen was black before
        self._high = np.zeros(GRID * GRID)
        self._counted = np.zeros(GRID * GRID, bool)
        self._rises: deque[float] = deque()
        self._at: float | None = None
        self._grids: list[tuple[Frame, np.ndarray]] = []

    def step(
        self,
        now: float,
        postfx: PostFxParams,
        newest: Frame,
        previous: Frame | None,
        on: bool = True,
        part: Part = WHOLE,
    ) -> float:
        """The factor for the frame that is shown at `now` (seconds). With `on` False it only observes and returns 1.
        part: what the output shows of `newest`."""
        light = means(_resampled(self.light(postfx, newest, previous), postfx, part), _SAMPLES).reshape(-1, 3)
        # Coded colours [n, 3] of the cells at full level, approximately as composed.
        coded = toned(light, 0.5 * light * light, ToneMapping.of(postfx))
        passed = max(now - self._at, 0.0) if self._at is not None else 0.0
        self._at = now
        while self._rises and now - self._rises[0] >= WITHIN:
            self._rises.popleft()
        self.gain = min(self.gain + RECOVER * passed, 1.0) if on else 1.0
        level = postfx.shown_level
        shown = luminance(coded * (level * self.gain))
        while on and len(self._rises) >= MOST and self._risen(shown).mean() > AREA:
            # One pass suffices, except for colours that are a little brighter than the grey of `linear_to_srgb`.
            self.gain *= 0.98 * self._hold(coded, level * self.gain)
            shown = luminance(coded * (level * self.gain))
        self._note(now, shown)
        return self.gain

    def light(self, postfx: PostFxParams, newest: Frame, previous: Frame | None) -> np.ndarray:
        """Light [48, 48, 3] of what is shown, before it is moved and toned."""
        light = self._grid(newest)
        if previous is not None and postfx.mix < 1.0:
            # As the compositors blend: coded values, which are darker half way than the mean of their light.
            new, old = to_coded(light), to_coded(self._grid(previous))
            mean = np.array(postfx.mean)
            blend = mean + (postfx.mix * new + (1.0 - postfx.mix) * old - mean) * postfx.contrast
            light = to_light(np.maximum(blend, 0.0))
        return light

    def _risen(self, shown: np.ndarray) -> np.ndarray:
        """Cells that would have risen by CHANGE since they last fell: bool [n]. shown: luminance [n]."""
        return np.asarray((shown - self._low >= CHANGE) & (self._low < BRIGHT) & ~self._counted)

    def _hold(self, coded: np.ndarray, level: float) -> float:
        """The factor, 0 to 1, at which no more cells rise than allowed."""
        most = linear_to_srgb(np.minimum(self._low + CHANGE, 1.0))
        ceiling = most / np.maximum(level * linear_to_srgb(luminance(coded)), 1e-6)
        ceiling[self._counted | (self._low >= BRIGHT)] = np.inf
        allowed = int(AREA * ceiling.size)
        return float(min(np.sort(ceiling)[allowed], 1.0))

    def _note(self, now: float, shown: np.ndarray) -> None:
        """Count a rise of the frame, and update the cells. shown: their luminance [n]."""
        risen = self._risen(shown)
        if risen.mean() > AREA:
            self._rises.append(now)
            self._counted |= risen
        self._low = np.minimum(self._low, shown)
        self._high = np.maximum(self._high, shown)
        fallen = self._high - shown >= CHANGE
        # Cells that have fallen may rise again from here.
        self._low = np.where(fallen, shown, self._low)
        self._high = np.where(fallen, shown, self._high)
        self._counted &= ~fallen

    def _grid(self, frame: Frame) -> np.ndarray:
        """The `samples` of a frame; those of the last two frames are cached."""
        for known, grid in self._grids:
            if known is frame:
                return grid
        grid = samples(frame.pixels)
        self._grids = [*self._grids[-1:], (frame, grid)]
        return grid


def samples(pixels: np.ndarray) -> np.ndarray:
    """Light of uint8 [h, w, 3] at 16 positions in each cell: float64 [48, 48, 3]."""
    height, width = pixels.shape[:2]
    rows = (np.arange(_COUNT) + 0.5) * height / _COUNT
    columns = (np.arange(_COUNT) + 0.5) * width / _COUNT
    return to_light(pixels[rows.astype(int)[:, None], columns.astype(int)] / 255.0)


def means(values: np.ndarray, side: int) -> np.ndarray:
    """Means over squares: [n, m, ...] to [n / side, m / side, ...]."""
    height, width = values.shape[:2]
    return np.asarray(values.reshape(height // side, side, width // side, side, *values.shape[2:]).mean(axis=(1, 3)))


def _resampled(light: np.ndarray, postfx: PostFxParams, part: Part) -> np.ndarray:
    """Samples [48, 48, 3] after zoom, rotation and shift (nearest neighbour, mirrored at the edges)."""
    if postfx.zoom == 1.0 and postfx.rotate == 0.0 and postfx.place == (0.0, 0.0) and part == WHOLE:
        return light
    x, y = 0.5 + postfx.place[0], 0.5 + postfx.place[1]
    angle = math.radians(postfx.rotate)
    cos, sin = math.cos(angle) / postfx.zoom, math.sin(angle) / postfx.zoom
    at = (np.arange(_COUNT) + 0.5) / _COUNT - 0.5
    right, below = part[0] * at[None, :], part[1] * at[:, None]
    across, down = cos * right + sin * below + x, cos * below - sin * right + y
    rows, columns = ((_COUNT * (1.0 - np.abs(1.0 - v % 2.0))).astype(int).clip(0, _COUNT - 1) for v in (down, across))
    return np.asarray(light[rows, columns])


def luminance(coded: np.ndarray) -> np.ndarray:
    """Relative luminance, 0 to 1, of sRGB values [..., 3] (WCAG 2.2, definition of relative luminance)."""
    return np.asarray(srgb_to_linear(coded) @ LUMA)
