"""MIDI learn: the user changes a parameter, then moves a control, and the control is mapped to the parameter."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tpos_live.control.look_fade import LookFade
from tpos_live.control.midi_inbox import Controller
from tpos_live.core.messages import NOTICE
from tpos_live.core.midi_map import MidiControl, MidiMapping, is_target
from tpos_live.core.parameter import Value, shorten
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.parameters import TABLE

log = logging.getLogger(__name__)

LEARN = "midi.learn"
TOUCH = "+"
"""Value of LEARN: learn for the next parameter that changes."""
LISTEN = 0.3
"""Seconds to wait for the other half of a 14-bit controller."""


@dataclass
class MidiLearn:
    """One step per frame, on the display's thread; time is passed in."""

    store: ParameterStore
    _target: str = ""
    _before: dict[str, Value] = field(default_factory=dict)
    _triggers: Snapshot | None = None
    _fade: LookFade | None = None
    _moved: list[Controller] = field(default_factory=list)
    _began: float = 0.0

    @property
    def listening(self) -> bool:
        """Whether controls are used for learning and move no parameters."""
        return bool(self.store.snapshot()[LEARN])

    def step(
        self,
        now: float,
        values: Mapping[Controller, int],
        notes: Sequence[tuple[Controller, int]],
        fade: LookFade | None = None,
    ) -> MidiMapping | None:
        """Take the controls that moved; returns the mapping learnt in this step, else None. now: seconds. fade: the
        last fade to a look, whose changes are not the user's."""
        snapshot = self.store.snapshot()
        wanted = str(snapshot[LEARN]).strip()
        if wanted != self._target:
            self._begin(wanted, snapshot)
            self._fade = fade
        if self._target == TOUCH:
            if fade is not None and fade is not self._fade:
                self._fade, self._before = fade, {**snapshot.values, **fade.goal}
            self._find_changed(snapshot)
        elif self._target:
            return self._listen(now, values, notes)
        return None

    def _begin(self, wanted: str, snapshot: Snapshot) -> None:
        if wanted not in ("", TOUCH) and not is_target(wanted):
            log.warning(f"MIDI learn: {shorten(wanted)} is no number, switch, choice or trigger; nothing is learnt")
            self.store.set(LEARN, "")
            wanted = ""
        elif wanted == TOUCH:
            log.log(NOTICE, "MIDI learn: change the parameter, then move the fader; M ends it")
        elif wanted:
            log.log(NOTICE, f"MIDI learn: move a fader or press a button for {wanted}; M ends it")
        self._target, self._moved = wanted, []
        self._before, self._triggers = dict(snapshot.values), snapshot

    def _find_changed(self, snapshot: Snapshot) -> None:
        before, triggers = self._before, self._triggers
        assert triggers is not None
        faded = self._fade.written | self._fade.after if self._fade is not None else {}
        changed = [n for n, value in snapshot.values.items() if value not in (before[n], faded.get(n))]
        changed += [name for name in TABLE if snapshot.fired(name) != triggers.fired(name)]
        found = next((name for name in changed if is_target(name)), None)
        if found:
            self.store.set(LEARN, found)
            self._begin(found, snapshot)

    def _listen(
        self, now: float, values: Mapping[Controller, int], notes: Sequence[tuple[Controller, int]]
    ) -> MidiMapping | None:
        if notes:
            (channel, number), _ = notes[0]
            return self._mapping_to(MidiControl("note", channel, number))
        if values and not self._moved:
            self._began = now
        self._moved += [controller for controller in values if controller not in self._moved]
        if not self._moved or now - self._began < LISTEN:
            return None
        for channel, number in self._moved:
            if number < 32 and (channel, number + 32) in self._moved:
                return self._mapping_to(MidiControl("cc14", channel, number))
        return self._mapping_to(MidiControl("cc", *self._moved[0]))

    def _mapping_to(self, control: MidiControl) -> MidiMapping:
        mapping = MidiMapping(control, self._target)
        log.log(NOTICE, f"MIDI: {control} moves {self._target}")
        self.store.set(LEARN, "")
        self._target = ""
        return mapping
