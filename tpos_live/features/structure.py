"""Build-ups and drops: the sound gets brighter and busier, the bass disappears and returns.

Rule-based, causal, and conservative. Time is counted in beats; while the tempo is unknown a beat is half a second. A
drop is a return of the bass after one of three things: four bars with little bass, a build-up that ends without bass,
or silence. The first needs levels alone (`BassReturn`), and no kick.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from tpos_live.core.envelope import follow, share
from tpos_live.features.beat import Beat
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.spectrum import decibels

BUILD_BEATS = 12.0
"""Beats in which a continuous build-up rises from 0 to 1."""
BRIGHTER, BUSIER = 0.06, 1.0
"""Rise over about three beats that counts fully: of the level above 2 kHz (in units of 30 dB), and of onsets per
beat."""
JUMP = 2.5
"""A rise of this many times the full value is a new section, not a build-up; the long average follows it quickly."""
GONE = 0.8
"""Hysteresis: the bass is gone below the share GONE of its usual level, and back above the share BACK."""
BACK = 0.9
REST_BEATS = 16.0
"""Fewest beats between two drops."""
ARMED_BY_BUILDUP = 0.6
"""Build-up after which returning bass makes a drop."""
ARMED_BEATS = 4.0
"""Beats after a build-up or silence in which returning bass makes a drop."""
SILENT_BEATS = 1.5
"""Beats of silence after which returning bass makes a drop."""
HEARD_BEATS = 16.0
"""Beats of music needed before a silence can lead to a drop."""
DROP_DECAY_SECONDS = 0.1
CALM_BEATS = 8.0
"""Beats after a drop in which no build-up is detected."""
ON_BEAT = 0.2
"""Largest distance from a beat, in beats, that counts as on the beat."""
RISE_DB = 8.0
"""Rise of the bass above the loudest half beats of the breakdown, which are about 4 dB above its mean."""
BREAKDOWN_BLOCKS = 28
"""Half beats of a breakdown: 3.5 bars, so that a breakdown of four bars at the start of a file is enough."""
STRAY_BLOCKS = 2
"""Half beats of a breakdown in which the bass may be as loud as after it: single hits, and the upbeat."""
LAST_BLOCKS = 2
"""Newest half beats that are not compared, because they hold the return itself."""
HEARD_BLOCKS = 24
"""Half beats of a breakdown in which the noise gate must have been open: after a pause, music begins without a drop."""
FAST_SECONDS = 0.06
"""Time constant of the level that is compared."""
HOLD_BEATS = 0.25
"""Beats for which the bass must be back, minus the beats between two notes: a click in the bass is shorter."""
BELOW_USUAL_DB = 10.0
"""Largest distance of the returning bass below its usual level."""
PART_DB = -10.0
"""Lowest level of the bass relative to the whole signal: rumble below music is no bass."""
_FLOOR_DB = -90.0


@dataclass(frozen=True, slots=True)
class StructureInput:
    """Input of the detector for one hop.

    bass: level, 0 to 1. bass_db, whole_db: level of the bass and of the whole in dBFS, without gain. bright: level
    above 2 kHz in units of 30 dB, relative to any constant, without gain. onset: an onset fired in this hop. kick: the
    decaying hit, 0 to 1.
    """

    bass: float
    bass_db: float
    whole_db: float
    bright: float
    onset: bool
    kick: float
    gate: bool
    beat: Beat


@dataclass
class BassReturn:
    """Detects that the bass returns after a breakdown, from levels alone. One step per hop."""

    _fast: float = 0.0
    _usual_db: float = _FLOOR_DB
    _sum: float = 0.0
    _hops: int = 0
    _beats: float = 0.0
    _open: bool = False
    _back_beats: float = 0.0
    _floor: float = math.inf
    _blocks: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=BREAKDOWN_BLOCKS + LAST_BLOCKS))

    def step(self, bass_db: float, whole_db: float, gate: bool, beats: float) -> bool:
        """Take one hop; returns whether the bass has returned. bass_db, whole_db: dBFS before gain. beats: length of
        the hop in beats."""
        power = 10.0 ** (bass_db / 10.0)
        self._fast += (power - self._fast) * share(FAST_SECONDS, HOP_SECONDS)
        self._sum += power
        self._hops += 1
        self._beats += beats
        self._open = self._open or gate
        if self._beats >= 0.5:
            self._end_block()
        now_db = max(decibels(self._fast), _FLOOR_DB)
        back = now_db >= max(self._floor + RISE_DB, self._usual_db - BELOW_USUAL_DB, whole_db + PART_DB)
        self._back_beats = self._back_beats + beats if back and gate else max(self._back_beats - beats, 0.0)
        if self._back_beats < HOLD_BEATS:
            return False
        self._back_beats, self._floor = 0.0, math.inf
        self._blocks.clear()
        return True

    def _end_block(self) -> None:
        """Store the mean level of a half beat, and find the loudest level of the breakdown before it."""
        level = max(decibels(self._sum / self._hops), _FLOOR_DB)
        self._blocks.append((level, self._open))
        if self._open:
            # Rises within two beats, falls over 64.
            self._usual_db = follow(self._usual_db, level, 2.0, 64.0, self._beats)
        self._sum, self._hops, self._beats, self._open = 0.0, 0, 0.0, False
        before = list(self._blocks)[:-LAST_BLOCKS]
        self._floor = math.inf
        if len(before) == BREAKDOWN_BLOCKS and sum(heard for _, heard in before) >= HEARD_BLOCKS:
            self._floor = sorted(level for level, _ in before)[-1 - STRAY_BLOCKS]


@dataclass
class StructureDetector:
    """One step per hop.

    buildup: 0 to 1. drop: 1 at a drop, then decaying in 0.1 s. dropped: a drop in this hop. bass_gone: beats since the
    bass disappeared.
    """

    buildup: float = 0.0
    drop: float = 0.0
    dropped: bool = False
    _bass: float = 0.0
    _usual_bass: float = 0.0
    bass_gone: float = 0.0
    _quiet_beats: float = 0.0
    _heard_beats: float = 0.0
    _bright: float = 0.0
    _bright_before: float = 0.0
    _busy: float = 0.0
    _busy_before: float = 0.0
    _armed: float = 0.0
    _waiting: bool = False
    _bar_phase: float = 0.0
    _since_drop: float = math.inf
    _return: BassReturn = field(default_factory=BassReturn)

    def step(self, now: StructureInput) -> bool:
        """Take one hop; returns `dropped`."""
        beats = HOP_SECONDS / (now.beat.period or 0.5)
        self._update_averages(now, beats)
        returned = self._return.step(now.bass_db, now.whole_db, now.gate, beats)
        self._integrate_buildup(now, beats)
        self.dropped = self._find_drop(now, returned, beats)
        self.drop = 1.0 if self.dropped else self.drop * (1.0 - share(DROP_DECAY_SECONDS, HOP_SECONDS))
        return self.dropped

    def _update_averages(self, now: StructureInput, beats: float) -> None:
        """Update the short and long averages, in beats."""
        self._bass = follow(self._bass, now.bass, 0.0, 1.0, beats)
        self._bright = follow(self._bright, now.bright, 1.5, 1.5, beats)
        self._bright_before = self._long_average(self._bright_before, self._bright, BRIGHTER, beats)
        self._busy = follow(self._busy, now.onset / beats, 2.0, 2.0, beats)
        self._busy_before = self._long_average(self._busy_before, self._busy, BUSIER, beats)
        self._armed = max(self._armed - beats, 0.0)
        if now.gate:
            if self._quiet_beats >= SILENT_BEATS and self._heard_beats >= HEARD_BEATS:
                self._armed = ARMED_BEATS / 2
            self._quiet_beats = 0.0
            self._heard_beats += beats
            # Usual bass level of this music: rises within two beats, falls over 64.
            self._usual_bass = follow(self._usual_bass, self._bass, 2.0, 64.0, beats)
        else:
            self._quiet_beats += beats

    def _integrate_buildup(self, now: StructureInput, beats: float) -> None:
        """Integrate the rises into `buildup`, each limited, so that only a build-up over BUILD_BEATS reaches 1."""
        brighter = (self._bright - self._bright_before - 0.4 * BRIGHTER) / BRIGHTER
        busier = (self._busy - self._busy_before - 0.4 * BUSIER) / BUSIER
        gone = now.gate and self._bass < GONE * self._usual_bass
        self.bass_gone = self.bass_gone + beats if gone else 0.0
        rise = max(min(brighter, 1.0), min(busier, 1.0), -0.5)
        if rise > 0.0 and not gone:
            rise *= 0.5
        self.buildup = min(max(self.buildup + rise * beats / BUILD_BEATS, 0.0), 1.0)
        if not now.gate:
            self.buildup = follow(self.buildup, 0.0, 0.0, 2.0, beats)
        if self.buildup >= ARMED_BY_BUILDUP and self.bass_gone >= 1.0:
            self._armed = ARMED_BEATS

    def _find_drop(self, now: StructureInput, returned: bool, beats: float) -> bool:
        self._since_drop += beats
        new_bar = now.beat.bar_phase < self._bar_phase
        self._bar_phase = now.beat.bar_phase
        if self._armed <= 0.0:
            self._waiting = False
        strong = now.kick > 0.2 and now.bass > BACK * self._usual_bass > 0.2
        if self._armed > 0.0 and strong and self._since_drop >= REST_BEATS:
            self._waiting = True
            # Stay armed until the next downbeat.
            self._armed = max(self._armed, ARMED_BEATS)
        on_beat = now.beat.period == 0.0 or min(now.beat.phase, 1.0 - now.beat.phase) <= ON_BEAT
        bass_returned = returned and self._since_drop >= REST_BEATS
        if bass_returned or (self._waiting and (new_bar or (strong and on_beat))):
            self._waiting, self._armed, self._since_drop = False, 0.0, 0.0
            self.buildup = 0.0
            return True
        return False

    def _long_average(self, before: float, now: float, rise: float, beats: float) -> float:
        """The long average, over about four beats, one hop later. It follows a jump of JUMP * `rise` quickly."""
        jumped = now - before > JUMP * rise or self._since_drop < CALM_BEATS
        return follow(before, now, 0.7 if jumped else 4.0, 4.0, beats)
