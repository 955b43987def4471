"""Beat look-ahead: compensates the latency of predicted beats.

A beat that is drawn when it is heard is visible late, by the latency of audio input, analysis, refresh and screen.
Beats are predicted, so they can be drawn earlier. Onsets are not predicted and keep the full latency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tpos_live.core.envelope import share
from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import Features

SETTLE_SECONDS = 2.0
"""Time constant of the measured delay, so that a single late frame does not move the beat."""
LONGEST = 0.5
"""Limit of delays in seconds, positive and negative."""


@dataclass
class BeatLookahead:
    """Smooths the measured delay, and advances the beat by it. One step per hop."""

    delay: float | None = None

    def step(self, features: Features, delay: float, trim: float, dt: float) -> Features:
        """`features` with the beat advanced to the moment at which the frame is visible.

        delay: measured seconds from sound in the room to light on the screen; may be negative. trim: seconds that the
        user adds, for latency that cannot be measured. dt: seconds since the last step.
        """
        delay = min(max(delay, -LONGEST), LONGEST) if math.isfinite(delay) else 0.0
        if self.delay is None:
            self.delay = delay
        self.delay += (delay - self.delay) * share(SETTLE_SECONDS, dt)
        return advance_beat(features, self.delay + trim)


def advance_beat(features: Features, seconds: float) -> Features:
    """`features` with beat and bar as predicted for `seconds` later; all other fields stay."""
    if seconds == 0.0 or features.tempo <= 0.0:
        return features
    turns = seconds * features.tempo / 60.0
    beat, bar = features.beat_phase + turns, features.bar_phase + turns / BEATS_PER_BAR
    return replace(features, beat_phase=beat % 1.0, bar_phase=bar % 1.0)
