"""The bar grid that decisions stand on: the music's own, or one of two seconds where there is no beat."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import HOP_SECONDS, TRUST, Features

NO_BEAT_SECONDS = 0.5
"""A beat where none is heard."""


@dataclass
class BarClock:
    """One step per hop. bars: since the start. bar_seconds: length of a bar."""

    bars: int = 0
    bar_seconds: float = BEATS_PER_BAR * NO_BEAT_SECONDS
    _phase: float = 0.0
    _since: float = 0.0

    def step(self, features: Features) -> bool:
        """Whether a bar begins with this hop."""
        self._since += HOP_SECONDS
        known = features.tempo > 0.0 and features.confidence >= TRUST
        self.bar_seconds = BEATS_PER_BAR * (60.0 / features.tempo if known else NO_BEAT_SECONDS)
        wrapped = features.bar_phase < self._phase - 0.5
        self._phase = features.bar_phase
        # A correction of the phase may wrap it again; a bar that was missed begins late.
        begins = (wrapped and self._since > 0.5 * self.bar_seconds) if known else self._since >= self.bar_seconds
        begins = begins or self._since > 1.5 * self.bar_seconds
        if begins:
            self.bars += 1
            self._since = 0.0
        return begins
