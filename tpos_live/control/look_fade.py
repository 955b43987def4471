"""The fade to a look: numbers move from where they are to the look's, while all else has changed at its beginning."""

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
"""Changes of the parameters in a fade; each is a new snapshot for all who read them."""


@dataclass
class LookFade:
    """Thread contract: one thread, the display's, but for `settled`; time is passed in.

    start, goal: numbers by name. written: what was set last. after: what is set at the end.
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
        """Set what does not move. goal: all values of the look."""
        here = store.snapshot()
        moving = {n for n, value in goal.items() if TABLE[n].kind == "float" and seconds > 0 and here[n] != value}
        moving.discard("prompt.fade")
        weights = moving & set(WEIGHTS)
        if goal[SELECT]:  # a selected slot takes the place of all weights, by a fade of the prompt bank
            moving -= weights
        # Of 900 values few change, and to set them all would hold Python's lock for 1.5 ms.
        at_once = {n: value for n, value in goal.items() if n not in moving and (value != here[n] or n in COMMANDS)}
        at_once |= {name: here[name] for name in weights & moving}  # else a new prompt would set them to 0
        after: dict[str, Value] = {"prompt.fade": goal["prompt.fade"]} if seconds != goal["prompt.fade"] else {}
        at_once["prompt.fade"] = seconds  # the prompts go with the rest
        store.update(at_once, at_once=True)
        start = {name: float(here[name]) for name in moving}
        numbers = {name: float(goal[name]) for name in moving}
        return cls(start, numbers, dict(start), after, now, seconds)

    def move(self, store: ParameterStore, now: float) -> bool:
        """Move the numbers to where they are at `now`; whether they have arrived."""
        part = part_done(self.began, self.seconds, now)
        if part < 1.0 and now - self.stepped < 1.0 / STEPS_PER_SECOND:
            return False
        self.stepped = now
        here = store.snapshot()
        touched = [name for name, value in self.written.items() if here[name] != value]
        if touched:  # by somebody else; replaced, not changed, for `settled`
            self.start = {name: value for name, value in self.start.items() if name not in touched}
            self.goal = {name: value for name, value in self.goal.items() if name not in touched}
            self.written = {name: value for name, value in self.written.items() if name not in touched}
        eased = ease(part)
        values = {n: self.goal[n] if part >= 1.0 else a + (self.goal[n] - a) * eased for n, a in self.start.items()}
        if values:
            self.written = store.update(values, at_once=True)
        return part >= 1.0

    def end(self, store: ParameterStore) -> None:
        """prompt.fade gets the look's value back."""
        if after := self.given_back(store.snapshot().values):
            store.update(after, at_once=True)

    def given_back(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        """The look's value of prompt.fade, which is that of the fade meanwhile, unless somebody has moved it."""
        return self.after if values["prompt.fade"] == self.seconds else {}

    def settled(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """These values of the parameters, as they will be at the end. Any thread."""
        return {**values, **self.goal, **self.given_back(values)}
