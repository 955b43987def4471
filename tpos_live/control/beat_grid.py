"""The beat grid on which looks, and with `quantise` prompts, take effect. Also says what happens without a beat."""

from __future__ import annotations

from dataclasses import dataclass, field

from tpos_live.control.triggers import fire
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import Start
from tpos_live.features.features import Features

BARS: dict[str, int] = {"bar": 1, "4 bars": 4, "16 bars": 16}
NO_BEAT_BAR = 2.0
"""Seconds of a bar without a beat, as in the director."""
LONGEST_BEAT = 4.0
"""Seconds without a change of the beat position after which the beat counts as lost; the slowest beat takes 2 s."""


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
    _heard: Features = field(default_factory=Features)
    _drops: int = 0
    _bar_began: float = 0.0
    _moved_at: float = 0.0

    def step(self, now: float, heard: Features, drops: int) -> None:
        """Take the position in the music at `now`, seconds. drops: count since the start."""
        before, self._heard = self._heard, heard
        if (heard.beats, heard.bar_phase) != (before.beats, before.bar_phase):
            self._moved_at = now
        self.known = heard.tempo > 0.0 and now - self._moved_at < LONGEST_BEAT
        self.beat = heard.beats != before.beats
        self.bar = heard.bar_phase < before.bar_phase - 0.5
        if not self.known and now - self._bar_began >= NO_BEAT_BAR:  # for the autopilot
            self.bar = True
        if self.bar:
            self._bar_began = now
            self.bars += 1
        self.dropped, self._drops = drops != self._drops, drops

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
