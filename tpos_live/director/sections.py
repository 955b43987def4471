"""The bars of the music, and its sections by name: what a listener would call this part of the song."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tpos_live.core.direction import BREAKDOWN, BUILD_UP, INTRO, MAIN, PEAK, SILENCE
from tpos_live.core.envelope import follow
from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import HOP_SECONDS, TRUST, Features

NO_BEAT_SECONDS = 0.5
"""A beat where none is heard."""
SILENT_SECONDS = 2.0
LOW, HIGH = 0.5, 0.82
"""Energy below which a section is a breakdown, and above which it is a peak; the usual loud part has 0.75."""
MARGIN = 0.07
"""Distance beyond LOW or HIGH at which the section that stands is left."""
BUILDING = 0.5
"""Build-up from which the section is one."""
PEAK_BARS, SURE_BARS = 8, 2
"""Bars after a drop that are a peak unless the energy is that of a breakdown, and whatever the energy is."""
KNOWN_BARS = 8
"""Bars of music before its energy, which is relative to its own usual level, can make a peak."""
HOLD_BARS, SHORTEST_BARS = 1.0, 4.0
"""A section must be heard for HOLD_BARS, and the one before it must have stood for SHORTEST_BARS, where nothing but the
energy speaks for it. A change of the spectrum on the bar grid (`Features.sections`) and a drop count at once."""
ENERGY_SECONDS = 1.5
"""Time in which the energy is followed: one loud bar is no section."""
UNKNOWN_ENERGY = 0.6
"""Largest energy of music whose usual level is not known yet."""


@dataclass
class BarClock:
    """The bar grid that decisions stand on: the music's own, or one of two seconds where there is no beat.

    One step per hop. bars: since the start. bar_seconds: length of a bar.
    """

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


@dataclass
class SectionTracker:
    """One step per hop. name: the section that stands; bars: its length so far. energy: 0 to 1, slower than the
    features'. dropped: a drop in this hop."""

    name: str = SILENCE
    bars: float = 0.0
    energy: float = 0.0
    dropped: bool = False
    _quiet: float = 0.0
    _music: float = 0.0
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
        self._music = 0.0 if self.name == SILENCE else self._music + bars
        known = self._music >= KNOWN_BARS
        energy = features.energy if math.isfinite(features.energy) else self.energy
        energy = energy if known else min(energy, UNKNOWN_ENERGY)
        self.energy = follow(self.energy, energy, ENERGY_SECONDS, ENERGY_SECONDS, HOP_SECONDS)
        self.dropped = features.drop > self._drop + 0.5
        self._drop = features.drop
        self._since_drop = 0.0 if self.dropped else self._since_drop + bars
        self.bars += bars
        found = self._find(features)
        if found != self._next:
            self._next, self._held = found, 0.0
        self._held += bars
        boundary = features.sections != self._boundaries
        self._boundaries = features.sections
        heard = self._held >= HOLD_BARS and (self.bars >= SHORTEST_BARS or SILENCE in (self.name, found))
        if self.dropped or (found != self.name and (heard or boundary)):
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
        if self._since_drop < SURE_BARS:
            return PEAK
        low = LOW + (MARGIN if self.name in (BREAKDOWN, INTRO) else 0.0)
        high = HIGH - (MARGIN if self.name == PEAK else 0.0)
        if self.energy < low:
            return BREAKDOWN if self._heard else INTRO
        if self.energy > high or self._since_drop < PEAK_BARS:
            return PEAK
        return MAIN
