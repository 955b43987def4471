"""Beat look-ahead: predicted beats are drawn for the moment at which they will be seen.

A beat that is drawn when it is heard is seen late, by the delay of audio input, analysis, refresh and screen. Beats are
predicted, so they can be drawn earlier. Onsets are not predicted and keep the full delay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tpos_live.core.envelope import share
from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import Features

SETTLE_SECONDS = 2.0
"""Time constant for changes of the measured delay: a short hiccup must not move the beat."""
LONGEST = 0.5
"""Delays are limited to +- this, seconds."""


@dataclass
class BeatLookahead:
    """Follows the measured delay. One step per hop."""

    delay: float | None = None

    def step(self, features: Features, delay: float, trim: float, dt: float) -> Features:
        """`features` with the beat as it will be when the frame is seen.

        delay: measured seconds from sound in the room to light on the screen; may be negative. trim: seconds to add,
        for what cannot be measured.
        """
        delay = min(max(delay, -LONGEST), LONGEST) if math.isfinite(delay) else 0.0
        if self.delay is None:
            self.delay = delay
        self.delay += (delay - self.delay) * share(SETTLE_SECONDS, dt)
        return advance_beat(features, self.delay + trim)


def advance_beat(features: Features, seconds: float) -> Features:
    """`features` with beat and bar as they will be in `seconds`; all other fields stay."""
    if seconds == 0.0 or features.tempo <= 0.0:
        return features
    turns = seconds * features.tempo / 60.0
    phase = (features.beat_phase + turns) % 1.0
    return replace(
        features,
        beat_phase=phase,
        bar_phase=(features.bar_phase + turns / BEATS_PER_BAR) % 1.0,
        beat=features.confidence * math.cos(2.0 * math.pi * phase),
    )
