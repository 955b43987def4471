"""MIDI learn: maps a control to a parameter, which a person moves one after the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tpos_live.control.midi_inbox import Controller
from tpos_live.core.messages import NOTICE
from tpos_live.core.midi_map import MidiControl, MidiMapping, is_target
from tpos_live.core.parameter import shorten
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.parameters import TABLE

log = logging.getLogger(__name__)

LEARN = "midi.learn"
TOUCH = "+"
"""Value of LEARN: the next parameter that changes is the one."""
LISTEN = 0.3
"""Seconds from the first value of a controller in which the other half of a 14-bit one is waited for."""


@dataclass
class MidiLearn:
    """One step per frame, on the display's thread; time is passed in."""

    store: ParameterStore
    _target: str = ""
    _before: Snapshot | None = None
    _heard: list[Controller] = field(default_factory=list)
    _began: float = 0.0

    @property
    def listening(self) -> bool:
        """Whether controls are taken for learning, not for playing."""
        return bool(self.store.snapshot()[LEARN])

    def step(
        self, now: float, values: Mapping[Controller, int], notes: Sequence[tuple[Controller, int]]
    ) -> MidiMapping | None:
        """The mapping that has been learnt with this step."""
        snapshot = self.store.snapshot()
        wanted = str(snapshot[LEARN]).strip()
        if wanted != self._target:
            self._begin(wanted, snapshot)
        if self._target == TOUCH:
            self._find_touched(snapshot)
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
        self._target, self._before, self._heard = wanted, snapshot, []

    def _find_touched(self, snapshot: Snapshot) -> None:
        before = self._before
        assert before is not None
        changed = [name for name, value in snapshot.values.items() if value != before[name]]
        changed += [name for name in TABLE if snapshot.fired(name) != before.fired(name)]
        found = next((name for name in changed if is_target(name)), None)
        if found:
            self.store.set(LEARN, found)
            self._begin(found, snapshot)

    def _listen(
        self, now: float, values: Mapping[Controller, int], notes: Sequence[tuple[Controller, int]]
    ) -> MidiMapping | None:
        if notes:
            (channel, number), _ = notes[0]
            return self._learnt(MidiControl("note", channel, number))
        if values and not self._heard:
            self._began = now
        self._heard += [controller for controller in values if controller not in self._heard]
        if not self._heard or now - self._began < LISTEN:
            return None
        for channel, number in self._heard:
            if number < 32 and (channel, number + 32) in self._heard:
                return self._learnt(MidiControl("cc14", channel, number))
        return self._learnt(MidiControl("cc", *self._heard[0]))

    def _learnt(self, control: MidiControl) -> MidiMapping:
        mapping = MidiMapping(control, self._target)
        log.log(NOTICE, f"MIDI: {control} moves {self._target}")
        self.store.set(LEARN, "")
        self._target = ""
        return mapping
