"""Decides when the next keyframe begins: as soon as the limit allows, or so that it ends on a beat if one is near."""

from __future__ import annotations

import math
from typing import NamedTuple

PATIENCE = 0.25
"""Longest wait for a beat if there is no limit, as a share of the time that a keyframe takes."""
SURE = 0.5
"""Confidence from which a beat counts."""


class Beat(NamedTuple):
    """tempo: BPM, 0 while unknown. phase: 0 to 1, 0 on a beat. confidence: 0 to 1."""

    tempo: float = 0.0
    phase: float = 0.0
    confidence: float = 0.0


class KeyframePace:
    """The clock is passed in. Belongs to the render thread."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._took = 0.0
        self.rate = 0.0
        """Keyframes per second, smoothed; 0 before two were drawn."""

    def wait(self, now: float, limit: float, beat: Beat) -> float:
        """Seconds to wait at `now` until a keyframe begins. limit: keyframes per second, 0 = as fast as they come.

        A keyframe begins later, so that it ends on a beat, if the delay is short: up to one beat with a limit, up to
        PATIENCE of its own time without.
        """
        if self._began is None:
            return 0.0
        due = max(self._began + (1 / limit if limit > 0 else 0.0), self._began + self._took)
        if beat.tempo <= 0 or beat.confidence < SURE:
            return max(due - now, 0.0)
        period = 60.0 / beat.tempo
        # Keyframes that begin at origin + n * period end on a beat.
        origin = now - beat.phase * period - self._took
        aligned = origin + math.ceil((due - origin) / period - 1e-6) * period
        patience = period if limit > 0 else PATIENCE * self._took
        return max((aligned if aligned - due <= patience else due) - now, 0.0)

    def drawn(self, began: float, ended: float) -> None:
        """A keyframe was drawn."""
        took = ended - began
        self._took += (took - self._took) * (0.3 if self._took else 1.0)
        if self._began is not None and began > self._began:
            rate = 1 / (began - self._began)
            self.rate += (rate - self.rate) * (0.3 if self.rate else 1.0)
        self._began = began
