"""Selects the source of the beat, in this order: Link, MIDI clock, tap or OSC, audio. Also applies `tempo.shift`.

The beat tracker (`features/beat_tracker.py`) already handles taps and a tempo set by OSC. The clock of another program
replaces its beat here, in every record of the features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tpos_live.core.parameter_store import Snapshot
from tpos_live.features.beat_tracker import TRUST_SECONDS
from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import Features


@dataclass(frozen=True)
class ClockPosition:
    """tempo: BPM. beats: position in beats; a bar begins at each multiple of four."""

    tempo: float
    beats: float


class TempoClock(Protocol):
    """A clock of another program. Thread contract: any thread may call `position`."""

    name: str

    def position(self, at: float) -> ClockPosition | None:
        """The position at `at` (perf_counter); None while the clock gives no beat."""
        ...


@dataclass
class BeatSource:
    """One step per record. One thread; `name` may be read from anywhere.

    clocks: the first one that gives a beat is used. passed: returns the seconds from a sample's time in the room to
    the time that `step` gets. name: of the source, "" for none.
    """

    clocks: Sequence[TempoClock] = ()
    passed: Callable[[], float] = lambda: 0.0
    name: str = ""
    _clock: TempoClock | None = None
    _bar_offset: int = 0
    _count: int = 0
    _last_beat: int = 0
    _taps: int = 0
    _tapped_at: float = -math.inf
    _resyncs: int = 0

    def step(self, features: Features, at: float, snapshot: Snapshot) -> Features:
        """The record with the beat of the best source. at: perf_counter at which its newest sample arrived."""
        before, position = self._clock, None
        self._clock = None
        for clock in self.clocks if snapshot["tempo.source"] == "auto" else ():
            position = clock.position(at - self.passed())
            if position is not None:
                self._clock = clock
                break
        self._handle_taps(features, position, snapshot)
        shift = 1e-3 * snapshot["tempo.shift"]
        if position is not None:
            beats = position.beats + shift * position.tempo / 60.0
            in_bar = beats + self._bar_offset
            tempo, confidence = position.tempo, 1.0
        else:
            shifted = shift * features.tempo / 60.0
            beats = features.beats + features.beat_phase + shifted
            in_bar = BEATS_PER_BAR * features.bar_phase + shifted
            tempo, confidence = features.tempo, features.confidence
        whole = math.floor(beats)
        if self._clock is before:
            self._count += min(max(whole - self._last_beat, 0), 2)
            whole = max(whole, self._last_beat) if whole - self._last_beat == -1 else whole  # count no beat twice
        self._last_beat = whole
        if position is None and not shift and self._count == features.beats:
            return features
        return replace(
            features,
            tempo=tempo,
            confidence=confidence,
            beat_phase=beats % 1.0,
            bar_phase=in_bar / BEATS_PER_BAR % 1.0,
            beats=self._count,
        )

    def _handle_taps(self, features: Features, position: ClockPosition | None, snapshot: Snapshot) -> None:
        """Set `name`, and let a resync make the nearest beat of a clock the first of its bar."""
        taps, resyncs = snapshot.fired("tempo.tap"), snapshot.fired("tempo.resync")
        if taps != self._taps or resyncs != self._resyncs:
            self._tapped_at = features.time
        if resyncs != self._resyncs and position is not None:
            self._bar_offset = -round(position.beats)
        self._taps, self._resyncs = taps, resyncs
        if self._clock is not None:
            self.name = self._clock.name
        elif features.tempo <= 0.0:
            self.name = ""
        elif snapshot["tempo"] > 0.0:
            self.name = "OSC"
        elif snapshot["tempo.source"] == "tap" or features.time - self._tapped_at < TRUST_SECONDS:
            self.name = "tap"
        else:
            self.name = "audio"
