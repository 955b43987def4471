"""Looks and cues: a look is a named set of the image's parameters, cues are the order in which a show recalls looks."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from tpos_live.core.midi_map import MidiMapping
from tpos_live.core.parameter import Value, whole_number
from tpos_live.core.parameters import TABLE, Start

_OF_THE_ROOM = ("out.", "look.", "autopilot", "tempo", "quantise", "midi.", "engine.")
_OF_THE_ROOM_TOO = ("audio.device", "audio.gain", "audio.agc", "audio.mute", "pause")
PARAMETERS: tuple[str, ...] = tuple(
    p.name
    for p in TABLE.values()
    if p.kind != "trigger" and not p.name.startswith(_OF_THE_ROOM) and p.name not in _OF_THE_ROOM_TOO
)
"""Parameters in a look: all but triggers and those of the room and the stage (screen, level, blackout, input,
tempo)."""

MOST_LOOKS, MOST_CUES = 500, 5000
LONGEST_NAME = 60
"""Most characters of a look's name."""
JOINERS = "\u200c\u200d"
"""Invisible characters of a name: they shape Persian and Indian words, and make one emoji of several."""


@dataclass(frozen=True)
class Look:
    """values: parameters that differ from their defaults. unknown: parameters of a newer version, kept without
    effect."""

    name: str
    values: Mapping[str, Value]
    unknown: Mapping[str, object] = field(default_factory=dict)

    def whole(self) -> dict[str, Value]:
        """A value for each of PARAMETERS."""
        return {name: self.values.get(name, TABLE[name].default) for name in PARAMETERS}

    def is_shown_by(self, values: Mapping[str, Value]) -> bool:
        """Whether `values`, which contain all PARAMETERS, equal those of the look."""
        return all(values[name] == value for name, value in self.whole().items())


@dataclass(frozen=True)
class Cue:
    """A recall of a look: its name, the fade in seconds, and when it begins."""

    look: str
    fade: float = 2.0
    start: Start = "now"


@dataclass(frozen=True)
class Show:
    """Looks and cues in order; without cues a show steps through its looks. midi: mappings of controls. had_number: a
    deleted look had a number as its name. version: of the file's format."""

    looks: tuple[Look, ...] = ()
    cues: tuple[Cue, ...] = ()
    midi: tuple[MidiMapping, ...] = ()
    had_number: bool = False
    version: int = 1

    def find(self, called: str) -> Look | None:
        """The look with this name, or with this number, from 1 on, unless `numbers_are_names`."""
        found = self._by_name.get(name_key(called))
        number = None if found or self.numbers_are_names else whole_number(called)
        return self.looks[number - 1] if number is not None and 1 <= number <= len(self.looks) else found

    def named(self, name: str) -> Look | None:
        """The look with exactly this name (in any case), as in `Look.name` and `Cue.look`; never by number."""
        return self._by_name.get(name.lower())

    @cached_property
    def numbers_are_names(self) -> bool:
        """Whether a look has, or a deleted one had, a number as its name. Then "2" never means the second look."""
        return self.had_number or any(_is_number(look.name) for look in self.looks)

    @cached_property
    def _by_name(self) -> Mapping[str, Look]:
        """Looks by name in lower case: every refresh of the screen searches for some of them."""
        return {look.name.lower(): look for look in reversed(self.looks)}

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """Names of the looks of the cues, each once, or of all looks if there are no cues."""
        found = [self.named(cue.look) for cue in self.cues] or self.looks
        return tuple(dict.fromkeys(look.name for look in found if look is not None))

    def with_look(self, look: Look) -> Show:
        """The show with this look, which replaces a look of the same name (in any case), or is added at the end."""
        old = self.named(look.name)
        if old is None:
            return replace(self, looks=(*self.looks, look))
        looks = tuple(look if other is old else other for other in self.looks)
        cues = tuple(replace(cue, look=look.name) if self.named(cue.look) is old else cue for cue in self.cues)
        return replace(self, looks=looks, cues=cues)

    def without(self, look: Look) -> Show:
        """The show without this look and its cues."""
        cues = tuple(cue for cue in self.cues if self.named(cue.look) is not look)
        looks = tuple(other for other in self.looks if other is not look)
        return replace(self, looks=looks, cues=cues, had_number=self.had_number or _is_number(look.name))

    def with_cue(self, cue: Cue) -> Show:
        """The show with this cue at the end."""
        return replace(self, cues=(*self.cues, cue))

    def with_cue_moved(self, cue: int, to: int) -> Show:
        """The show with a cue moved to the index `to`. cue: index."""
        cues = list(self.cues)
        cues.insert(to, cues.pop(cue))
        return replace(self, cues=tuple(cues))

    def without_cue(self, cue: int) -> Show:
        """The show without the cue at this index."""
        return replace(self, cues=(*self.cues[:cue], *self.cues[cue + 1 :]))

    def free_name(self) -> str:
        """A name that no look has: "look 1" and so on."""
        names = {look.name.lower() for look in self.looks}
        return next(name for n in range(1, len(names) + 2) if (name := f"look {n}") not in names)


def capture(name: str, values: Mapping[str, Value]) -> Look:
    """A look with the current values. values: contain all PARAMETERS."""
    return Look(clean_name(name), {n: values[n] for n in PARAMETERS if values[n] != TABLE[n].default})


def clean_name(name: str) -> str:
    """A valid name of a look: one line of at most LONGEST_NAME printable characters; "" if there are none."""
    return whole_name(name)[:LONGEST_NAME].strip(" " + JOINERS)


def whole_name(name: str) -> str:
    """The same without the limit of length, in Unicode's composed form: "ü" may be one character or two."""
    line = unicodedata.normalize("NFC", " ".join(name.split()))
    shown = "".join(letter for letter in line if letter.isprintable() or letter in JOINERS)
    return " ".join(word for part in shown.split() if (word := part.strip(JOINERS)))


def name_key(name: str) -> str:
    """Key for comparing names: case, and all that `clean_name` removes, do not matter."""
    return clean_name(name).lower()


def _is_number(name: str) -> bool:
    """Whether a name could be the number of a look."""
    number = whole_number(name)
    return number is not None and 1 <= number <= MOST_LOOKS
