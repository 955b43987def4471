"""Looks and cues: the image's parameters under a name, and the order in which a show recalls them."""

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
"""What a look holds: everything but what belongs to the room and the stage (screen, level, blackout, input, tempo)."""

MOST_LOOKS, MOST_CUES = 500, 5000
LONGEST_NAME = 60
"""Letters of a look's name."""


@dataclass(frozen=True)
class Look:
    """values: parameters that differ from their defaults. unknown: of a newer version; kept, without effect."""

    name: str
    values: Mapping[str, Value]
    unknown: Mapping[str, object] = field(default_factory=dict)

    def whole(self) -> dict[str, Value]:
        """A value for each of PARAMETERS."""
        return {name: self.values.get(name, TABLE[name].default) for name in PARAMETERS}

    def is_shown_by(self, values: Mapping[str, Value]) -> bool:
        """Whether these values, of each of PARAMETERS and more, are the look's."""
        return all(values[name] == value for name, value in self.whole().items())


@dataclass(frozen=True)
class Cue:
    """A look, the seconds of its fade, and when it begins."""

    look: str
    fade: float = 2.0
    start: Start = "now"


@dataclass(frozen=True)
class Show:
    """Looks in their order, and cues; without cues a show goes through its looks. midi: what controls move. had_number:
    a look that is deleted had a number for its name."""

    looks: tuple[Look, ...] = ()
    cues: tuple[Cue, ...] = ()
    midi: tuple[MidiMapping, ...] = ()
    had_number: bool = False

    def find(self, called: str) -> Look | None:
        """The look that a person calls so: by its name, or by its number, from 1 on, unless `numbers_are_names`."""
        found = self._by_name.get(name_key(called))
        number = None if found or self.numbers_are_names else whole_number(called)
        return self.looks[number - 1] if number is not None and 1 <= number <= len(self.looks) else found

    def named(self, name: str) -> Look | None:
        """The look of this name, as `Look.name` and `Cue.look` have it, never of a number."""
        return self._by_name.get(name.lower())

    @cached_property
    def numbers_are_names(self) -> bool:
        """Whether a look has, or had until it was deleted, a number for its name: "2" is then no second look."""
        return self.had_number or any(_is_number(look.name) for look in self.looks)

    @cached_property
    def _by_name(self) -> Mapping[str, Look]:
        """By the name in lower case: some looks are searched for in every refresh of the screen."""
        return {look.name.lower(): look for look in reversed(self.looks)}

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """Names of the looks of the cues, each once, or of all looks where there are no cues."""
        found = [self.named(cue.look) for cue in self.cues] or self.looks
        return tuple(dict.fromkeys(look.name for look in found if look is not None))

    def with_look(self, look: Look) -> Show:
        """With this look in place of the one of its name, which may differ in case, or at the end."""
        old = self.named(look.name)
        if old is None:
            return replace(self, looks=(*self.looks, look))
        looks = tuple(look if other is old else other for other in self.looks)
        cues = tuple(replace(cue, look=look.name) if self.named(cue.look) is old else cue for cue in self.cues)
        return replace(self, looks=looks, cues=cues)

    def without(self, look: Look) -> Show:
        """Without this look and its cues."""
        cues = tuple(cue for cue in self.cues if self.named(cue.look) is not look)
        looks = tuple(other for other in self.looks if other is not look)
        return replace(self, looks=looks, cues=cues, had_number=self.had_number or _is_number(look.name))

    def with_cue(self, cue: Cue) -> Show:
        """With this cue at the end."""
        return replace(self, cues=(*self.cues, cue))

    def with_cue_moved(self, cue: int, to: int) -> Show:
        """With a cue in another place; both count from 0 on."""
        cues = list(self.cues)
        cues.insert(to, cues.pop(cue))
        return replace(self, cues=tuple(cues))

    def without_cue(self, cue: int) -> Show:
        """Without this cue, counted from 0 on."""
        return replace(self, cues=(*self.cues[:cue], *self.cues[cue + 1 :]))

    def free_name(self) -> str:
        """A name that no look has: "look 1" and so on."""
        names = {look.name.lower() for look in self.looks}
        return next(name for n in range(1, len(names) + 2) if (name := f"look {n}") not in names)


def capture(name: str, values: Mapping[str, Value]) -> Look:
    """What is shown now, as a look. values: of each of PARAMETERS and more."""
    return Look(clean_name(name), {n: values[n] for n in PARAMETERS if values[n] != TABLE[n].default})


def clean_name(name: str) -> str:
    """A name as a show file takes it: one line of at most LONGEST_NAME letters that can be printed; "" if none is."""
    return whole_name(name)[:LONGEST_NAME].strip()


def whole_name(name: str) -> str:
    """The same, however long: in Unicode's composed form, as "ü" may come as one letter or as two."""
    line = unicodedata.normalize("NFC", " ".join(name.split()))
    return " ".join("".join(letter for letter in line if letter.isprintable()).split())


def name_key(name: str) -> str:
    """What names of one look have in common: they may differ in case, and in what `clean_name` changes."""
    return clean_name(name).lower()


def _is_number(name: str) -> bool:
    """Whether a name could be the number of a look."""
    number = whole_number(name)
    return number is not None and 1 <= number <= MOST_LOOKS
