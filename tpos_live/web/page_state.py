"""The state that pages show at one moment, and the changes since another state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tpos_live.control.osc_feedback import NUMBERS, WORDS
from tpos_live.core.looks import Show
from tpos_live.core.parameter import Value
from tpos_live.core.status import Status


@dataclass(frozen=True)
class Line:
    """A message in the page's log. number: counts from 1 on. level: of `logging`."""

    number: int
    level: int
    text: str


@dataclass(frozen=True)
class PageState:
    """values: parameters by name. status: numbers and words by name. thumbnails: version of the image by the look's
    name."""

    values: Mapping[str, Value]
    status: Mapping[str, float | str]
    show: Show = field(default_factory=Show)
    thumbnails: Mapping[str, int] = field(default_factory=dict)
    lines: Sequence[Line] = ()

    def since(self, old: PageState | None) -> dict[str, Any]:
        """The changes since `old`, as they are sent to a page: all values for None, {} without a change."""
        news: dict[str, Any] = {}
        if values := _changed(self.values, old.values if old else {}):
            news["values"] = values
        if status := _changed(self.status, old.status if old else {}):
            news["status"] = status
        if old is None or old.show is not self.show or old.thumbnails != self.thumbnails:
            news["looks"] = [[look.name, self.thumbnails.get(look.name, 0)] for look in self.show.looks]
            news["cues"] = [[cue.look, cue.fade, cue.start] for cue in self.show.cues]
        last = old.lines[-1].number if old and old.lines else 0
        if lines := [[line.level, line.text] for line in self.lines if line.number > last]:
            news["log"] = lines
        return news


def page_status(status: Status) -> dict[str, float | str]:
    """The fields of the Status that pages show: the same as are sent by OSC."""
    numbers: dict[str, float | str] = {name: _finite(number(status)) for name, (number, _) in NUMBERS.items()}
    return numbers | {name: word(status) for name, (word, _) in WORDS.items()}


def _finite(number: float) -> float:
    """JSON has no NaN and no infinity."""
    return round(float(number), 3) if math.isfinite(number) else 0.0


def _changed(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    if new is old:
        return {}
    return {name: value for name, value in new.items() if name not in old or old[name] != value}
