"""Converts positions of MIDI controls to values of parameters, and back."""

from __future__ import annotations

from collections.abc import Mapping

from tpos_live.core.midi_map import MidiControl
from tpos_live.core.parameter import Parameter, Value

STEPS: Mapping[str, int] = {"cc": 127, "note": 127, "cc14": 16383}
"""Highest value of each kind of control."""


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
