"""Extrapolates FrameParams between two records of the modulation. Used by the threads that draw."""

from __future__ import annotations

from collections import deque

from tpos_live.core.frame_params import ZERO_VELOCITY, FrameParams, Velocity, extrapolate, slower, velocity_of


class FrameParamsExtrapolator:
    """Extrapolates FrameParams until new ones come. The clock is passed in.

    Uses the slower of the last two velocities: a drum hit moves the frame in a single step, and extrapolating that step
    would overshoot.
    """

    def __init__(self) -> None:
        self.newest: FrameParams | None = None
        self._velocities: deque[Velocity] = deque(maxlen=2)
        self._came_at = 0.0

    def next(self, params: FrameParams | None, now: float) -> FrameParams | None:
        """The FrameParams to render at `now`: the new ones, else the last ones extrapolated; None before the first."""
        if params is not None:
            if self.newest is not None:
                self._velocities.append(velocity_of(params, self.newest))
            self.newest, self._came_at = params, now
            return params
        if self.newest is None:
            return None
        velocity = slower(self._velocities[0], self._velocities[-1]) if self._velocities else ZERO_VELOCITY
        return extrapolate(self.newest, velocity, now - self._came_at)
