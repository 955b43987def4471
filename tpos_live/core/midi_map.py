"""Mappings from MIDI controls to parameters, triggers and looks, as a show file holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tpos_live.core.parameter import shorten
from tpos_live.core.parameters import TABLE

ControlKind = Literal["cc", "cc14", "note"]
LOOK = "look "
"""Prefix of a target that recalls a look; the name or number follows."""
MOST_MAPPINGS = 1000
_WRITTEN = re.compile(r"(cc14|cc|note) (\d{1,3})", re.ASCII)


@dataclass(frozen=True)
class MidiControl:
    """A fader, knob or button. channel: 1 to 16. number: of the controller or note, 0 to 127; of a 14-bit controller
    the number of its coarse half, 0 to 31."""

    kind: ControlKind
    channel: int
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number} (channel {self.channel})"


@dataclass(frozen=True)
class MidiMapping:
    """target: name of a parameter or trigger, or LOOK with the name of a look."""

    control: MidiControl
    target: str

    def entry(self) -> dict[str, Any]:
        """The mapping as a table of a show file."""
        control = self.control
        return {"control": f"{control.kind} {control.number}", "channel": control.channel, "target": self.target}


def is_target(name: str) -> bool:
    """Whether a control can be mapped to it: a number, switch, choice, trigger or look."""
    if name.startswith(LOOK):
        return bool(name.removeprefix(LOOK).strip())
    parameter = TABLE.get(name)
    return parameter is not None and parameter.kind != "text"


def parse_mapping(entry: Mapping[str, Any]) -> MidiMapping:
    """A mapping from a table of a show file. Raises ValueError with the allowed values."""
    unknown = sorted(set(entry) - {"control", "channel", "target"})
    if unknown:
        raise ValueError(f"{unknown[0]}: a mapping has control, channel and target")
    written, channel, target = entry.get("control"), entry.get("channel", 1), entry.get("target")
    found = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
    most = 31 if found and found[1] == "cc14" else 127
    if found is None or int(found[2]) > most:
        raise ValueError(f'control is "cc 0" to "cc 127", "cc14 0" to "cc14 31" or "note 0" to "note 127", '
                         f"not {shorten(written)}")  # fmt: skip
    if not isinstance(channel, int) or isinstance(channel, bool) or not 1 <= channel <= 16:
        raise ValueError(f"channel is 1 to 16, not {shorten(channel)}")
    if not isinstance(target, str) or not target.strip():
        raise ValueError(f'target is a parameter or "look NAME", not {shorten(target)}')
    kind: ControlKind = "cc14" if found[1] == "cc14" else "cc" if found[1] == "cc" else "note"
    return MidiMapping(MidiControl(kind, channel, int(found[2])), target.strip())
