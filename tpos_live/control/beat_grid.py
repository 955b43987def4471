"""The beat grid on which looks, and with `quantise` prompts, take effect. Also says what happens without a beat."""

from __future__ import annotations

from dataclasses import dataclass, field

from tpos_live.control.triggers import fire
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import Start

BARS: dict[str, int] = {"bar": 1, "4 bars": 4, "16 bars": 16}
NO_BEAT_BAR = 2.0
"""Seconds of a bar without a beat, as in the director."""
LONGEST_BEAT = 4.0
"""Seconds without a change of the beat position after which the beat counts as lost; the slowest beat takes 2 s."""


@dataclass(frozen=True)
class BeatPosition:
    """Position in the music. tempo: BPM, 0 while unknown. beats, drops: counts since the start. bar_phase: 0 to 1."""

    tempo: float = 0.0
    beats: int = 0
    bar_phase: float = 0.0
    drops: int = 0


@dataclass
class BeatGrid:
    """One step per refresh; time is passed in.

    beat, bar, dropped: a beat, bar or drop began with this step. bars: count so far. known: there is a beat to wait
    for.
    """

    beat: bool = False
    bar: bool = False
    dropped: bool = False
    bars: int = 0
    known: bool = False
    _position: BeatPosition = field(default_factory=BeatPosition)
    _bar_began: float = 0.0
    _moved_at: float = 0.0

    def step(self, now: float, position: BeatPosition) -> None:
        """Take the position at `now`, seconds."""
        before, self._position = self._position, position
        if (position.beats, position.bar_phase) != (before.beats, before.bar_phase):
            self._moved_at = now
        self.known = position.tempo > 0.0 and now - self._moved_at < LONGEST_BEAT
        self.beat = position.beats != before.beats
        self.bar = position.bar_phase < before.bar_phase - 0.5
        if not self.known and now - self._bar_began >= NO_BEAT_BAR:  # for the autopilot
            self.bar = True
        if self.bar:
            self._bar_began = now
            self.bars += 1
        self.dropped = position.drops != before.drops

    def due(self, start: Start | str) -> bool:
        """Whether a change with this `start` takes effect in this step. Without a beat nothing waits."""
        if start not in BARS and start != "beat":
            return True
        if not self.known:
            return True
        return self.beat if start == "beat" else self.bar and self.bars % BARS[start] == 0


def release_due(store: ParameterStore, grid: BeatGrid) -> None:
    """Apply the waiting prompt and seed if they are due. Call once per refresh, after the grid's step."""
    if not store.waiting or not grid.due(str(store.snapshot()["quantise"])):
        return
    values, triggers = store.take_waiting()
    store.update(values, at_once=True)
    for name in triggers:
        fire(store, name, at_once=True)


def waiting_text(store: ParameterStore) -> str:
    """What waits, as text: "prompt (next bar)"; "" for nothing."""
    names = dict.fromkeys(name.split(".")[0] for name in store.waiting)
    return f"{', '.join(names)} (next {store.snapshot()['quantise']})" if names else ""
