"""What the music is, for the director: its bar grid, its sections by name (intro, breakdown, peak, ...), its kind."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tpos_live.core.direction import BREAKDOWN, BUILD_UP, INTRO, MAIN, PEAK, SILENCE
from tpos_live.core.envelope import follow
from tpos_live.director.scene_table import KINDS
from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import HOP_SECONDS, TRUST, Features

NO_BEAT_SECONDS = 0.5
"""Length of a beat while no beat is detected."""
SILENT_SECONDS = 2.0
"""Seconds of silence that make the section SILENCE."""
LOW, HIGH = 0.5, 0.82
"""Energy below which a section is a breakdown, and above which it is a peak; the usual loud part has 0.75."""
MARGIN = 0.07
"""Hysteresis of LOW and HIGH."""
BUILDING = 0.5
"""`Features.buildup` from which the section is a build-up."""
PEAK_BARS, SURE_BARS = 8, 2
"""Bars after a drop that are a peak unless the energy is below LOW, and bars that are a peak at any energy."""
KNOWN_BARS = 8
"""Bars of music before its energy can make a peak, because energy is relative to the usual level of this music."""
HOLD_BARS, SHORTEST_BARS = 1.0, 4.0
"""Debounce of a change by energy alone: the new section must last HOLD_BARS, and the old one have lasted SHORTEST_BARS.
A change of the spectrum on the bar grid (`Features.sections`) and a drop count at once."""
ENERGY_SECONDS = 1.5
"""Time constant of the energy: one loud bar is no section."""
UNKNOWN_ENERGY = 0.6
"""Upper limit of the energy before KNOWN_BARS."""
KIND_SECONDS = 4.0
"""Seconds for which the sound must be no music before the kind ends; half of it for the first music."""


@dataclass
class BarClock:
    """The bar grid of the decisions: that of the music, or bars of two seconds without a beat.

    One step per hop. bar_seconds: length of a bar.
    """

    bar_seconds: float = BEATS_PER_BAR * NO_BEAT_SECONDS
    _phase: float = 0.0
    _since: float = 0.0

    def step(self, features: Features) -> bool:
        """Take one hop; returns whether a bar begins with it."""
        self._since += HOP_SECONDS
        known = features.tempo > 0.0 and features.confidence >= TRUST
        self.bar_seconds = BEATS_PER_BAR * (60.0 / features.tempo if known else NO_BEAT_SECONDS)
        wrapped = features.bar_phase < self._phase - 0.5
        self._phase = features.bar_phase
        # A phase correction may wrap the phase twice, or skip a wrap; a skipped bar begins late.
        begins = (wrapped and self._since > 0.5 * self.bar_seconds) if known else self._since >= self.bar_seconds
        begins = begins or self._since > 1.5 * self.bar_seconds
        if begins:
            self._since = 0.0
        return begins


@dataclass
class SectionTracker:
    """Names the section. One step per hop.

    name: the current section. bars: its length so far. energy: 0 to 1, smoothed."""

    name: str = SILENCE
    bars: float = 0.0
    energy: float = 0.0
    _silent_seconds: float = 0.0
    _music_bars: float = 0.0
    _had_main: bool = False
    _since_drop: float = 1e9
    _candidate: str = SILENCE
    _candidate_bars: float = 0.0
    _boundaries: int = 0

    def step(self, features: Features, bar_seconds: float) -> bool:
        """Take one hop; returns whether a section begins with it. bar_seconds: length of a bar."""
        bars = HOP_SECONDS / bar_seconds
        self._silent_seconds = self._silent_seconds + HOP_SECONDS if features.silence >= 0.5 else 0.0
        self._music_bars = 0.0 if self.name == SILENCE else self._music_bars + bars
        known = self._music_bars >= KNOWN_BARS
        energy = features.energy if math.isfinite(features.energy) else self.energy
        energy = energy if known else min(energy, UNKNOWN_ENERGY)
        self.energy = follow(self.energy, energy, ENERGY_SECONDS, ENERGY_SECONDS, HOP_SECONDS)
        self._since_drop = 0.0 if features.dropped else self._since_drop + bars
        self.bars += bars
        candidate = self._classify(features)
        if candidate != self._candidate:
            self._candidate, self._candidate_bars = candidate, 0.0
        self._candidate_bars += bars
        boundary = features.sections != self._boundaries
        self._boundaries = features.sections
        lasted = self._candidate_bars >= HOLD_BARS and (self.bars >= SHORTEST_BARS or SILENCE in (self.name, candidate))
        if features.dropped or (candidate != self.name and (lasted or boundary)):
            self._had_main = self._had_main or candidate in (MAIN, PEAK)
            self.name, self.bars = candidate, 0.0
            return True
        if boundary and self.bars >= 1.0:
            self.bars = 0.0
            return True
        return False

    def _classify(self, features: Features) -> str:
        """The section by the values of this hop, with hysteresis around the current section."""
        if self._silent_seconds >= SILENT_SECONDS or (self.name == SILENCE and features.silence >= 0.5):
            return SILENCE
        if features.buildup >= BUILDING:
            return BUILD_UP
        if self._since_drop < SURE_BARS:
            return PEAK
        low = LOW + (MARGIN if self.name in (BREAKDOWN, INTRO) else 0.0)
        high = HIGH - (MARGIN if self.name == PEAK else 0.0)
        if self.energy < low:
            return BREAKDOWN if self._had_main else INTRO
        if self.energy > high or self._since_drop < PEAK_BARS:
            return PEAK
        return MAIN


@dataclass
class MusicKind:
    """The kind of music by the labels of the sound, with a debounce: a short sound of another kind changes nothing. One
    step per hop.

    kind: one of KINDS, "" for none. label: the newest label of the sound."""

    kind: str = ""
    label: str = ""
    _seconds: float = 0.0

    def step(self, label: str) -> None:
        """Take the label of a hop, "" in silence."""
        if label != self.label:
            self._seconds = self._seconds if (label in KINDS) == (self.label in KINDS) else 0.0
            self.label = label
        self._seconds += HOP_SECONDS
        if label and label in KINDS and (self.kind or self._seconds >= KIND_SECONDS / 2):
            self.kind = label
        elif label and label not in KINDS and self._seconds >= KIND_SECONDS:
            self.kind = ""  # in silence the kind of the last music stays
