"""Extrapolates FrameParams between two records of the modulation. Used by the threads that draw."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from tpos_live.core.frame_params import INTEGRATED, FrameParams


class FrameParamsExtrapolator:
    """Extrapolates FrameParams until new ones come. The clock is passed in.

    Uses the slower of the last two velocities: a drum hit moves the frame in a single step, and extrapolating that step
    would overshoot. The next record is nearly the same as the extrapolated one, because late blocks and inserted
    silence cover the missing time.
    """

    def __init__(self) -> None:
        self.newest: FrameParams | None = None
        self._velocities: deque[list[float]] = deque(maxlen=2)
        """Change per second of the integrated fields."""
        self._came_at = 0.0

    def next(self, params: FrameParams | None, now: float) -> FrameParams | None:
        """The FrameParams to render at `now`: the new ones, else the last ones extrapolated; None before the first."""
        if params is not None:
            if self.newest is not None:
                self._velocities.append(_velocity(params, self.newest))
            self.newest, self._came_at = params, now
            return params
        if self.newest is None:
            return None
        seconds = now - self._came_at
        moved = {}
        if self._velocities:
            for name, one, other in zip(INTEGRATED, self._velocities[0], self._velocities[-1], strict=True):
                slower = min(one, other, key=abs) if one * other > 0 else 0.0
                moved[name] = getattr(self.newest, name) + seconds * slower
        return replace(self.newest, time=self.newest.time + seconds, heard_at=self.newest.heard_at + seconds, **moved)


def _velocity(params: FrameParams, before: FrameParams) -> list[float]:
    """Velocity from `before` to `params`; zeros if no time has passed."""
    passed = params.time - before.time
    if passed <= 0:
        return [0.0] * len(INTEGRATED)
    return [(getattr(params, name) - getattr(before, name)) / passed for name in INTEGRATED]
