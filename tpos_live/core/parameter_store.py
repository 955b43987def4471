"""The store of all live parameters, which all threads read and write."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from tpos_live.core.parameter import ParameterError, Value
from tpos_live.core.parameters import ORDERS, TABLE
from tpos_live.core.shown import CLEARED, PROMPT, SELECT, SLOTS, WEIGHTS, settle

_HELD_TOGETHER = {PROMPT, SELECT, "prompt.negative", "prompt.fade", *(f"prompt.{n}" for n in SLOTS), *WEIGHTS}
"""Parameters that wait together under `quantise`."""
MOST_ORDERS = 64
"""Most orders in the queue; in a flood the oldest are dropped."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All parameters at one moment. Immutable: keep it for a whole frame. Hashed by identity, so results that are
    computed from it can be cached.

    triggers: how often each trigger has fired since the start. A reader compares the count with the last one it saw, so
    it misses no trigger. version: grows with each change.
    """

    values: MappingProxyType[str, Value]
    triggers: MappingProxyType[str, int]
    version: int = 0

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def fired(self, name: str) -> int:
        """How often the trigger `name` has fired since the start."""
        return self.triggers.get(name, 0)


class Order(NamedTuple):
    """A command with a text. name: one of ORDERS. snapshot: the values when it was given."""

    name: str
    text: str
    snapshot: Snapshot


class ParameterStore:
    """Holds the live values.

    Thread contract: any thread may call any method. Writers share a short lock; `snapshot` takes no lock and never
    waits.
    """

    def __init__(self, start: Mapping[str, Value] | None = None) -> None:
        """start: values that differ from the table's defaults; they are also what `reset` restores.

        Raises KeyError for an unknown name, ParameterError for a value it cannot take.
        """
        values = {p.name: p.default for p in TABLE.values() if p.kind != "trigger"}
        given = {name: TABLE[name].parse(value) for name, value in (start or {}).items()}
        values.update(given | settle(values, given)[0])
        self._start = dict(values)
        self._lock = threading.Lock()
        self._snapshot = Snapshot(MappingProxyType(values), MappingProxyType({}))
        self.waiting: Mapping[str, Value] = MappingProxyType({})
        """Changes that `quantise` holds back: values by name, and True for triggers. Replaced as a whole; no lock."""
        self._orders: deque[Order] = deque(maxlen=MOST_ORDERS)
        self._note_orders(given)

    def snapshot(self) -> Snapshot:
        """The newest values, consistent among themselves."""
        return self._snapshot

    def set(self, name: str, value: object) -> Value:
        """Set one parameter and return the value it took. Raises KeyError or ParameterError."""
        return self.update({name: value})[name]

    def update(self, values: Mapping[str, object], *, at_once: bool = False) -> dict[str, Value]:
        """Set several parameters as one change. Raises KeyError or ParameterError and then sets none.

        The last command decides which prompt is shown (`shown.py`): a new prompt clears the slots' weights, and so on.
        A prompt waits in `waiting` while `quantise` is on, unless at_once.
        """
        parsed = {name: TABLE[name].parse(value) for name, value in values.items()}
        for name in parsed:
            if TABLE[name].kind == "trigger":
                raise ParameterError(f"{name} is a trigger and holds no value")
        with self._lock:
            old = self._snapshot
            chosen = parsed
            if not at_once and (later := _waiting_part(old.values, parsed)):
                self._wait({**later, **settle({**old.values, **self.waiting}, later)[0]})
                chosen = {name: value for name, value in parsed.items() if name not in later}
            settled, cleared = settle(old.values, chosen)
            changed = chosen | settled
            if any(old.values[name] != value for name, value in changed.items()):
                fired = {CLEARED: old.fired(CLEARED) + 1} if cleared else {}
                self._replace(old.values | changed, old.triggers | fired)
            self._note_orders(parsed)
        return parsed

    def hold(self, trigger: str) -> None:
        """Let a trigger wait for `quantise`."""
        with self._lock:
            self._wait({trigger: True})

    def take_waiting(self) -> tuple[dict[str, Value], list[str]]:
        """Remove and return the waiting values and triggers."""
        with self._lock:
            taken, self.waiting = self.waiting, MappingProxyType({})
        values = {name: value for name, value in taken.items() if TABLE[name].kind != "trigger"}
        return values, [name for name in taken if name not in values]

    def take_orders(self) -> list[Order]:
        """Remove and return the orders since the last call, oldest first. Their parameters become empty."""
        if not self._orders:
            return []
        with self._lock:
            taken = list(self._orders)
            self._orders.clear()
        self.update(dict.fromkeys((order.name for order in taken), ""))
        return taken

    def coming(self, name: str) -> Value:
        """The waiting value of a parameter, or else its current one."""
        return self.waiting.get(name, self._snapshot.values[name])

    def trigger(self, name: str) -> None:
        """Fire a trigger once. Raises KeyError for a name that is no trigger."""
        if TABLE[name].kind != "trigger":
            raise KeyError(name)
        with self._lock:
            old = self._snapshot
            self._replace(old.values.copy(), old.triggers | {name: old.fired(name) + 1})

    def restore(self, names: Iterable[str] | None = None) -> None:
        """Set the named parameters (default: all) to their start values."""
        chosen = self._start if names is None else {name: self._start[name] for name in names}
        self.update(chosen, at_once=True)

    def _note_orders(self, given: Mapping[str, Value]) -> None:
        for name, text in given.items():
            if name in ORDERS and str(text).strip():
                self._orders.append(Order(name, str(text), self._snapshot))

    def _wait(self, later: Mapping[str, Value]) -> None:
        held, now = {**self.waiting, **later}, self._snapshot.values
        changes = any(now.get(name) != value for name, value in held.items())
        self.waiting = MappingProxyType(held if changes else {})

    def _replace(self, values: dict[str, Value], triggers: dict[str, int]) -> None:
        """values, triggers: not modified afterwards."""
        version = self._snapshot.version + 1
        self._snapshot = Snapshot(MappingProxyType(values), MappingProxyType(triggers), version)


def _waiting_part(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `new` (values set together) that waits for the next beat or bar while `quantise` is on: all
    parameters of a prompt, if the shown prompt changes.

    The text of a hidden slot does not wait, and neither does a weight alone, which is a fader. Faders and safety
    controls (blackout, freeze, level, panic, reset) are never delayed.
    """
    if old["quantise"] == "off":
        return {}
    seen = [n for n in SLOTS if n == old[SELECT] or old[f"prompt.{n}.weight"] > 0]
    words = {PROMPT, SELECT, "prompt.negative", *(f"prompt.{n}" for n in seen)}
    return {name: value for name, value in new.items() if name in _HELD_TOGETHER} if words & new.keys() else {}
