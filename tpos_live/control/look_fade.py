"""The fade to a look: numbers are interpolated to the look's values; all other parameters change at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tpos_live.core.envelope import ease, part_done
from tpos_live.core.parameter import Value
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.shown import COMMANDS, SELECT, WEIGHTS

STEPS_PER_SECOND = 30.0
"""Updates of the parameters during a fade; each makes a new snapshot."""


@dataclass
class LookFade:
    """Thread contract: the display's thread makes all calls except `settled`; time is passed in.

    start, goal: numbers by name. written: the values set last. after: values set at the end. began: seconds.
    """

    start: dict[str, float]
    goal: dict[str, float]
    written: dict[str, Value]
    after: dict[str, Value]
    began: float
    seconds: float
    stepped: float = 0.0

    @classmethod
    def begin(cls, store: ParameterStore, goal: Mapping[str, Value], seconds: float, now: float) -> Self:
        """Start a fade, and set the parameters that are not interpolated. goal: all values of the look. now:
        seconds."""
        here = store.snapshot()
        moving = {n for n, value in goal.items() if TABLE[n].kind == "float" and seconds > 0 and here[n] != value}
        moving.discard("prompt.fade")
        weights = moving & set(WEIGHTS)
        if goal[SELECT]:  # a selected slot replaces all weights, and the prompt bank fades to it
            moving -= weights
        # Few of 900 values change, and setting all of them would hold the GIL for 1.5 ms.
        at_once = {n: value for n, value in goal.items() if n not in moving and (value != here[n] or n in COMMANDS)}
        at_once |= {name: here[name] for name in weights & moving}  # otherwise a new prompt would set them to 0
        after: dict[str, Value] = {"prompt.fade": goal["prompt.fade"]} if seconds != goal["prompt.fade"] else {}
        at_once["prompt.fade"] = seconds  # prompts fade in the same time
        store.update(at_once, at_once=True)
        start = {name: float(here[name]) for name in moving}
        numbers = {name: float(goal[name]) for name in moving}
        return cls(start, numbers, dict(start), after, now, seconds)

    def move(self, store: ParameterStore, now: float) -> bool:
        """Set the numbers for the time `now`; returns whether the fade is complete."""
        part = part_done(self.began, self.seconds, now)
        if part < 1.0 and now - self.stepped < 1.0 / STEPS_PER_SECOND:
            return False
        self.stepped = now
        here = store.snapshot()
        touched = [name for name, value in self.written.items() if here[name] != value]
        if touched:  # by another control; the dicts are replaced as a whole, for `settled`
            self.start = {name: value for name, value in self.start.items() if name not in touched}
            self.goal = {name: value for name, value in self.goal.items() if name not in touched}
            self.written = {name: value for name, value in self.written.items() if name not in touched}
        eased = ease(part)
        values = {n: self.goal[n] if part >= 1.0 else a + (self.goal[n] - a) * eased for n, a in self.start.items()}
        if values:
            self.written = store.update(values, at_once=True)
        return part >= 1.0

    def end(self, store: ParameterStore) -> None:
        """Set prompt.fade to the look's value."""
        if after := self.given_back(store.snapshot().values):
            store.update(after, at_once=True)

    def given_back(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        """The look's value of prompt.fade, which has another value during the fade; empty if another control has set
        it."""
        return self.after if values["prompt.fade"] == self.seconds else {}

    def settled(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """`values` of the parameters as they will be at the end of the fade. Any thread."""
        return {**values, **self.goal, **self.given_back(values)}
