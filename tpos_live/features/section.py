"""Energy, tension and sections: the position of the music in its form.

A section is a run of bars with about the same spectrum: intro, verse, breakdown, build-up, chorus. The detector keeps
one vector per beat, the level in 16 groups of mel bands. At each bar line it compares the last two bars with the
earlier bars of the section; a large difference begins a new section. So it detects a change two bars late, a very large
one one bar late, and a drop at once. The principle is Foote's novelty ("Automatic audio
segmentation using a measure of audio novelty", ICME 2000), restricted to the past and to the bar grid.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from tpos_live.core.envelope import follow, share
from tpos_live.features.beat import Beat
from tpos_live.features.downbeat import BEATS_PER_BAR
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.spectrum import FLOOR, GROUPS, MELS, decibels, mel_db
from tpos_live.features.structure import StructureDetector

WEIGHTS = np.array([5.0] + [1.0] * (GROUPS - 1)) / (GROUPS + 4.0)
"""Weight of the groups: the bass counts as much as five others."""
START_SECONDS = 2.0
"""Seconds of sound from which the first estimate of the usual level is made."""
RANGE_DB = 40.0
"""Levels further below the loudest group of the last minute count as absent."""
LONGEST_BEATS = 32
"""Most beats of the current section that are compared with the last bars."""
SHORTEST_BARS = 4
"""Bars of a section before another one can begin, except by a drop."""
CHANGE_DB, MOST_CHANGE_DB = 2.6, 5.0
"""Smallest and largest threshold for the difference of two sections, RMS over the groups, in dB."""
UNLIKE = 1.6
"""Threshold between these limits, as a multiple of the usual difference of two bars from their section."""
AT_ONCE = 1.6
"""Factor on the threshold for one bar instead of two."""
PHRASE_BARS, ON_PHRASE, OFF_PHRASE = 4, 0.9, 1.15
"""Factors on the threshold after a multiple of PHRASE_BARS, and otherwise: most sections last a multiple of four
bars."""
USUAL_ENERGY = 0.75
"""Energy at the usual level of this music, which is the level of its loud parts."""
FULL_DB = -26.0
"""Mean over the groups relative to the whole signal in dB, in typical full music. Assumed at the start."""
ENERGY_DB = 20.0
"""Level difference, mean over the groups in dB, between energy 0 and 1."""
WAIT_BEATS = 32.0
"""Beats without bass that give a tension of WAIT_TENSION without a build-up."""
WAIT_TENSION = 0.6
_EMPTY = np.zeros(GROUPS)


@dataclass
class SectionDetector:
    """One step per hop.

    energy: 0 to 1, the level over about 2 s relative to the usual level of this music (USUAL_ENERGY). tension: 0 to 1,
    expectation of a drop: a build-up, or a long time without bass. sections: changes of section so far.
    """

    energy: float = 0.0
    tension: float = 0.0
    sections: int = 0
    _level: np.ndarray = field(default_factory=lambda: _EMPTY.copy())
    _usual: float = 0.0
    _heard: float = 0.0
    _loudest: float = -120.0
    _beat: np.ndarray = field(default_factory=lambda: _EMPTY.copy())
    _hops: int = 0
    _beats: int = 0
    _bar_phase: float = 0.0
    _since_bar: int = 0
    _section: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=LONGEST_BEATS + 2 * BEATS_PER_BAR))
    _length: int = 0
    _usual_change: float = 0.0
    _bars: int = 0

    def step(self, mel: np.ndarray, gate: bool, beat: Beat, structure: StructureDetector) -> None:
        """Take one hop. mel: power before all gain, float [MELS]. structure: after its step for this hop."""
        power = mel.reshape(GROUPS, MELS // GROUPS).mean(axis=1).astype(np.float64)
        self._measure_energy(power, gate)
        self._measure_tension(gate, structure)
        if structure.dropped:
            self._begin_section()
        # The mean of dB values, not of powers: only it separates a sparse bass from a steady one.
        self._beat += np.maximum(mel_db(power), self._loudest - RANGE_DB)
        self._hops += 1
        # While the tempo is unknown, a beat is half a second.
        beat_ends = beat.beats != self._beats if beat.tempo else self._hops * HOP_SECONDS >= 0.5
        if beat_ends:
            self._end_beat(gate, beat)

    def _measure_energy(self, power: np.ndarray, gate: bool) -> None:
        """Compare the level over about 2 s, as a mean over the groups in dB, with its usual value."""
        self._level += (power - self._level) * share(0.7, HOP_SECONDS)
        goal = 0.0
        if gate:
            db = mel_db(self._level)
            self._loudest = follow(self._loudest, float(db.max()), 0.0, 60.0, HOP_SECONDS)
            level = float(WEIGHTS @ np.maximum(db, self._loudest - RANGE_DB))
            self._heard = min(self._heard + HOP_SECONDS, START_SECONDS)
            if self._heard < START_SECONDS:
                whole = decibels(max(float(self._level.sum()) * MELS / GROUPS, FLOOR))
                self._usual = max(whole + FULL_DB, level)
            self._usual = follow(self._usual, level, 8.0, 90.0, HOP_SECONDS)
            goal = min(max(USUAL_ENERGY + (level - self._usual) / ENERGY_DB, 0.0), 1.0)
        self.energy = follow(self.energy, goal, 0.3, 0.6, HOP_SECONDS)

    def _measure_tension(self, gate: bool, structure: StructureDetector) -> None:
        waited = WAIT_TENSION * min(structure.bass_gone / WAIT_BEATS, 1.0) if gate else 0.0
        goal = max(structure.buildup, waited)
        self.tension = 0.0 if structure.dropped else follow(self.tension, goal, 0.3, 0.5, HOP_SECONDS)

    def _end_beat(self, gate: bool, beat: Beat) -> None:
        self._beats = beat.beats
        if gate:
            self._section.append(self._beat / self._hops)
            self._length += 1
        self._beat, self._hops = _EMPTY.copy(), 0
        self._since_bar += 1
        new_bar = beat.bar_phase < self._bar_phase - 0.25 if beat.tempo else self._since_bar >= BEATS_PER_BAR
        self._bar_phase = beat.bar_phase
        if new_bar or self._since_bar > BEATS_PER_BAR:
            self._since_bar = 0
            self._compare_bars()

    def _compare_bars(self) -> None:
        """Compare the last bar, and the last two, with the earlier bars of the section."""
        bars, beats = self._length // BEATS_PER_BAR, np.array(self._section)
        for new in (1, 2):
            if bars <= new:
                return
            offset = beats[-new * BEATS_PER_BAR :].mean(axis=0) - beats[: -new * BEATS_PER_BAR].mean(axis=0)
            change = math.sqrt(float(WEIGHTS @ offset**2))
            threshold = min(max(UNLIKE * self._usual_change, CHANGE_DB), MOST_CHANGE_DB)
            threshold *= ON_PHRASE if (bars - new) % PHRASE_BARS == 0 else OFF_PHRASE
            if new == 2:
                self._bars += 1
                self._usual_change += (min(change, MOST_CHANGE_DB) - self._usual_change) / min(self._bars, 32)
            else:
                threshold *= AT_ONCE
            if change >= threshold and bars - new >= SHORTEST_BARS:
                self._begin_section(keep=new * BEATS_PER_BAR)
                return

    def _begin_section(self, keep: int = 0) -> None:
        """Begin a section with the last `keep` beats."""
        self.sections += 1
        beats = list(self._section)[len(self._section) - keep :]
        self._section.clear()
        self._section.extend(beats)
        self._length = keep
