"""Returns of the bass after a breakdown, from levels alone."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from tpos_live.core.envelope import follow, share
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.stft import decibels

RISE_DB = 8.0
"""Rise of the bass above the loudest half beats of the breakdown, which are some 4 dB above its mean."""
BREAKDOWN_BLOCKS = 28
"""Half beats of a breakdown: three and a half bars, so that four at the start of a file are enough."""
STRAY_BLOCKS = 2
"""Half beats of a breakdown in which the bass may be as loud as after it: single hits, and the pick-up."""
LAST_BLOCKS = 2
"""Half beats before now that are not compared: the return itself."""
HEARD_BLOCKS = 24
"""Half beats of these in which the noise gate must have been open: after a pause, music begins, and does not return."""
FAST_SECONDS = 0.06
"""Time constant of the level that is compared."""
HOLD_BEATS = 0.25
"""Beats for which the bass must be back, less those between two strokes: a click in the bass is shorter."""
BELOW_USUAL_DB = 10.0
"""The bass may be so far below its usual level."""
PART_DB = -10.0
"""Least level of the bass against the whole sound: rumble below music is no bass."""
_FLOOR_DB = -90.0


@dataclass
class BassReturn:
    """One step per hop."""

    _fast: float = 0.0
    _usual_db: float = _FLOOR_DB
    _sum: float = 0.0
    _hops: int = 0
    _beats: float = 0.0
    _open: bool = False
    _held: float = 0.0
    _floor: float = math.inf
    _blocks: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=BREAKDOWN_BLOCKS + LAST_BLOCKS))

    def step(self, bass_db: float, whole_db: float, gate: bool, beats: float) -> bool:
        """Take one hop; True where the bass has returned. bass_db, whole_db: dBFS before gain. beats: length of the hop
        in beats."""
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
        self._held = self._held + beats if back and gate else max(self._held - beats, 0.0)
        if self._held < HOLD_BEATS:
            return False
        self._held, self._floor = 0.0, math.inf
        self._blocks.clear()
        return True

    def _end_block(self) -> None:
        """Keep the mean of a half beat, and find the level of the breakdown before it."""
        level = max(decibels(self._sum / self._hops), _FLOOR_DB)
        self._blocks.append((level, self._open))
        if self._open:
            # Learned in two beats, forgotten over 64.
            self._usual_db = follow(self._usual_db, level, 2.0, 64.0, self._beats)
        self._sum, self._hops, self._beats, self._open = 0.0, 0, 0.0, False
        before = list(self._blocks)[:-LAST_BLOCKS]
        self._floor = math.inf
        if len(before) == BREAKDOWN_BLOCKS and sum(heard for _, heard in before) >= HEARD_BLOCKS:
            self._floor = sorted(level for level, _ in before)[-1 - STRAY_BLOCKS]
