"""Maps MIDI controls to parameters, triggers and looks, and sends changed parameters to faders and lights.

A fader moves a parameter only after it has reached its value (soft takeover), so nothing jumps. A parameter that
another control changes is sent to the device once the mapped control has rested for QUIET. A value that the device
already shows is not sent, which prevents a feedback loop.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tpos_live.control.look_player import LookPlayer
from tpos_live.control.midi_inbox import Controller, MidiInbox
from tpos_live.control.midi_learn import LEARN, MidiLearn
from tpos_live.control.triggers import fire
from tpos_live.core.messages import NOTICE
from tpos_live.core.midi_map import LOOK, MOST_MAPPINGS, MidiControl, MidiMapping
from tpos_live.core.parameter import Parameter, Value
from tpos_live.core.parameters import TABLE

log = logging.getLogger(__name__)

FORGET = "midi.forget"
NEAR = 2.0 / 127.0
"""Distance from a value, as a share of the range, at which a fader takes over."""
QUIET = 0.3
"""Seconds after a control's last movement before its parameter is sent to it."""
MOST_SENT = 64
"""Most messages to devices per frame."""
STEPS: Mapping[str, int] = {"cc": 127, "note": 127, "cc14": 16383}
"""Highest value of each kind of control."""


@dataclass
class _State:
    """State of a mapped control. share: its position, 0 to 1, -1 while unknown. written: the value that it set last.
    shown: the MIDI value that the device shows. moved: time of the last movement in seconds."""

    share: float = -1.0
    written: Value | None = None
    shown: int = -1
    moved: float = -math.inf


@dataclass
class MidiMapper:
    """One step per frame, on the display's thread; time is passed in. The mappings are in the look player's show.

    inbox: None without MIDI. send: sends bytes to the devices; it must not block.
    """

    looks: LookPlayer
    inbox: MidiInbox | None = None
    send: Callable[[bytes], None] = lambda data: None
    _learn: MidiLearn = field(init=False)
    _mappings: tuple[MidiMapping, ...] = ()
    _states: dict[MidiMapping, _State] = field(default_factory=dict)
    _by_controller: dict[tuple[str, Controller], list[MidiMapping]] = field(default_factory=dict)
    _halves: dict[Controller, int] = field(default_factory=dict)
    _sent_version: int = -1
    _arrivals: int = 0

    def __post_init__(self) -> None:
        self._learn = MidiLearn(self.looks.store)

    def step(self, now: float) -> None:
        """Apply the MIDI messages since the last frame, and send changed parameters. now: seconds."""
        snapshot = self.looks.store.snapshot()
        if self.inbox is None:
            if snapshot[LEARN]:
                self.looks.store.set(LEARN, "")
                log.warning("MIDI is off: start the show with --midi all")
            return
        if snapshot[FORGET]:
            self._forget(str(snapshot[FORGET]).strip())
        if self.inbox.arrivals != self._arrivals:  # positions and lights of the device that has come are not known
            self._arrivals, self._states, self._mappings = self.inbox.arrivals, {}, ()
            self._halves.clear()
        if self._mappings is not self.looks.show.midi:
            self._index()
        values, notes = self.inbox.take()
        learning = self._learn.listening
        if (learnt := self._learn.step(now, values, notes, self.looks.last_fade)) is not None:
            self._add(learnt)
        if learning:
            return
        for controller, code in values.items():
            self._controller(controller, code, now)
        for controller, velocity in notes:
            for mapping in self._by_controller.get(("note", controller), ()):
                self._note(mapping, velocity, now)
        self._send_changed(now)

    def _index(self) -> None:
        self._mappings, self._sent_version = self.looks.show.midi, -1
        self._states = {mapping: self._states.get(mapping, _State()) for mapping in self._mappings}
        self._by_controller = {}
        for mapping in self._mappings:
            control = mapping.control
            self._by_controller.setdefault((control.kind, (control.channel, control.number)), []).append(mapping)

    def _add(self, learnt: MidiMapping) -> None:
        """Add a mapping, and remove others of the same control. Each half of a 14-bit controller counts as that
        control."""
        numbers = _numbers(learnt.control)
        kept = tuple(mapping for mapping in self.looks.show.midi if not numbers & _numbers(mapping.control))
        if len(kept) >= MOST_MAPPINGS:
            log.warning(f"{MOST_MAPPINGS} MIDI mappings are the most; forget one: /tpos/midi/forget NAME")
            return
        self._save((*kept, learnt))

    def _forget(self, target: str) -> None:
        self.looks.store.set(FORGET, "")
        kept = tuple(m for m in self.looks.show.midi if target != "all" and m.target.lower() != target.lower())
        log.log(NOTICE, f"MIDI: {len(self.looks.show.midi) - len(kept)} mappings forgotten")
        self._save(kept)

    def _save(self, mappings: tuple[MidiMapping, ...]) -> None:
        self.looks.show = replace(self.looks.show, midi=mappings)
        self.looks.save(self.looks.show)
        self._index()

    def _controller(self, controller: Controller, code: int, now: float) -> None:
        channel, number = controller
        self._halves[controller] = code
        for mapping in self._by_controller.get(("cc", controller), ()):
            self._move(mapping, code, now)
        coarse = (channel, number - 32 if number >= 32 else number)
        for mapping in self._by_controller.get(("cc14", coarse), ()):
            fine = self._halves.get((channel, coarse[1] + 32), 0)
            self._move(mapping, self._halves.get(coarse, 0) << 7 | fine, now)

    def _move(self, mapping: MidiMapping, code: int, now: float) -> None:
        """Apply the MIDI value `code` of a fader, a knob or a button of the kind controller."""
        state, share = self._states[mapping], code / STEPS[mapping.control.kind]
        last, state.share, state.shown, state.moved = state.share, share, code, now
        self._sent_version = -1  # a motor fader that has not taken over is moved back
        parameter = TABLE.get(mapping.target)
        rises = share >= 0.5 and last < 0.5
        if parameter is None or parameter.kind == "trigger":
            if rises:
                self._press(mapping)
            return
        store = self.looks.store
        value = store.snapshot()[parameter.name]
        if parameter.kind in ("float", "int"):
            here = to_share(parameter, value)
            crosses = last >= 0.0 and (last - here) * (share - here) <= 0.0
            if value != state.written and not crosses and abs(share - here) > NEAR:
                return
            if to_code(mapping.control, here) == code:
                state.written = value
                return
        elif last >= 0.0 and to_value(parameter, last) == to_value(parameter, share):
            return
        state.written = store.set(parameter.name, to_value(parameter, share))

    def _note(self, mapping: MidiMapping, velocity: int, now: float) -> None:
        """Apply a note: fire a trigger or recall a look, toggle a switch, or set a number by the velocity."""
        self._states[mapping].moved = now
        parameter, store = TABLE.get(mapping.target), self.looks.store
        if parameter is None or parameter.kind == "trigger":
            self._press(mapping)
        elif parameter.kind == "bool":
            store.set(parameter.name, not store.snapshot()[parameter.name])
        else:
            store.set(parameter.name, to_value(parameter, velocity / 127))

    def _press(self, mapping: MidiMapping) -> None:
        if mapping.target.startswith(LOOK):
            self.looks.store.set("look.recall", mapping.target.removeprefix(LOOK))
        elif mapping.target in TABLE:
            fire(self.looks.store, mapping.target)

    def _send_changed(self, now: float) -> None:
        snapshot, sent, later = self.looks.store.snapshot(), 0, False
        if snapshot.version == self._sent_version:
            return
        for mapping, state in self._states.items():
            parameter = TABLE.get(mapping.target)
            if parameter is None or parameter.kind in ("trigger", "text"):
                continue
            if now - state.moved < QUIET or sent >= MOST_SENT:
                later = True
                continue
            code = to_code(mapping.control, to_share(parameter, snapshot[parameter.name]))
            if code != state.shown:
                state.shown, sent = code, sent + 1
                self.send(message(mapping.control, code))
        self._sent_version = -1 if later else snapshot.version


def _numbers(control: MidiControl) -> set[tuple[bool, Controller]]:
    note = control.kind == "note"
    numbers = {control.number, control.number + 32} if control.kind == "cc14" else {control.number}
    return {(note, (control.channel, number)) for number in numbers}


def to_value(parameter: Parameter, share: float) -> Value:
    """The value of a parameter at the position `share`, 0 to 1, of a control."""
    if parameter.kind == "choice":
        return parameter.parse(share * (len(parameter.choices) - 1))
    if parameter.kind in ("bool", "trigger"):
        return share >= 0.5
    if parameter.off_below and share <= 0.0:
        return 0.0
    return parameter.parse(parameter.low + share * (parameter.high - parameter.low))


def to_share(parameter: Parameter, value: Value) -> float:
    """The position of a control, 0 to 1, for a value."""
    if parameter.kind == "choice":
        return parameter.choices.index(str(value)) / max(len(parameter.choices) - 1, 1)
    if parameter.kind == "bool":
        return float(bool(value))
    share = (float(value) - parameter.low) / (parameter.high - parameter.low)
    return min(max(share, 0.0), 1.0)


def to_code(control: MidiControl, share: float) -> int:
    """The MIDI value of the position `share`, 0 to 1."""
    return round(share * STEPS[control.kind])


def message(control: MidiControl, code: int) -> bytes:
    """The bytes that show a MIDI value on a device: a controller, both halves of a 14-bit controller, or a note."""
    channel = control.channel - 1
    if control.kind == "note":
        return bytes((0x90 | channel, control.number, code))
    status = 0xB0 | channel
    if control.kind == "cc":
        return bytes((status, control.number, code))
    return bytes((status, control.number, code >> 7, status, control.number + 32, code & 127))
