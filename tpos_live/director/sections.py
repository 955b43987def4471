"""The section of the music, by name: what a listener would call this part of the song."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.core.direction import BREAKDOWN, BUILD_UP, INTRO, MAIN, PEAK, SILENCE
from tpos_live.features.features import HOP_SECONDS, Features

SILENT_SECONDS = 2.0
LOW, HIGH = 0.35, 0.7
"""Energy below which a section is a breakdown, and above which it is a peak."""
MARGIN = 0.08
"""Distance beyond LOW or HIGH at which the section that stands is left."""
BUILDING = 0.5
"""Build-up from which the section is one."""
PEAK_BARS = 8
"""Bars after a drop that are a peak, unless the energy is that of a breakdown."""
HOLD_BARS = 1.0
"""A new section must be heard for so long; a drop counts at once."""


@dataclass
class SectionTracker:
    """One step per hop. name: the section that stands; bars: its length so far."""

    name: str = SILENCE
    bars: float = 0.0
    _quiet: float = 0.0
    _heard: bool = False
    _drop: float = 0.0
    _since_drop: float = 1e9
    _next: str = SILENCE
    _held: float = 0.0
    _boundaries: int = 0

    def step(self, features: Features, bar_seconds: float) -> bool:
        """Whether a section begins with this hop."""
        bars = HOP_SECONDS / bar_seconds
        self._quiet = self._quiet + HOP_SECONDS if features.silence >= 0.5 else 0.0
        dropped = features.drop > self._drop + 0.5
        self._drop = features.drop
        self._since_drop = 0.0 if dropped else self._since_drop + bars
        self.bars += bars
        found = self._find(features)
        if found != self._next:
            self._next, self._held = found, 0.0
        self._held += bars
        boundary = features.sections != self._boundaries
        self._boundaries = features.sections
        if dropped or (found != self.name and (self._held >= HOLD_BARS or boundary)):
            self._heard = self._heard or found in (MAIN, PEAK)
            self.name, self.bars = found, 0.0
            return True
        if boundary and self.bars >= 1.0:
            self.bars = 0.0
            return True
        return False

    def _find(self, features: Features) -> str:
        """The section by this hop alone, and by the one that stands."""
        if self._quiet >= SILENT_SECONDS or (self.name == SILENCE and features.silence >= 0.5):
            return SILENCE
        if features.buildup >= BUILDING:
            return BUILD_UP
        low = LOW + (MARGIN if self.name in (BREAKDOWN, INTRO) else 0.0)
        high = HIGH - (MARGIN if self.name == PEAK else 0.0)
        if features.energy < low:
            return BREAKDOWN if self._heard else INTRO
        if features.energy > high or self._since_drop < PEAK_BARS:
            return PEAK
        return MAIN
