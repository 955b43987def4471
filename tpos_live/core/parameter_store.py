"""The live values of all parameters, which threads read and write."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tpos_live.core.parameter import ParameterError, Value
from tpos_live.core.parameters import TABLE
from tpos_live.core.shown import CLEARED, settle


@dataclass(frozen=True)
class Snapshot:
    """All parameters at one moment. Immutable: keep it for a whole frame.

    triggers counts how often each trigger has fired since the start, so that a reader that looks
    seldom misses none: it compares the count with the one it saw last.
    """

    values: Mapping[str, Value]
    triggers: Mapping[str, int]
    version: int = 0

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def fired(self, name: str) -> int:
        """How often the trigger `name` has fired since the start."""
        return self.triggers.get(name, 0)


class ParameterStore:
    """Holds the live values.

    Thread contract: any thread may call `set`, `update`, `trigger` and `restore` (short lock among
    writers); any thread may call `snapshot`, which takes no lock and never waits.
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

    def snapshot(self) -> Snapshot:
        """The newest values, consistent among themselves."""
        return self._snapshot

    def set(self, name: str, value: object) -> Value:
        """Set one parameter and return the value it took. Raises KeyError or ParameterError."""
        return self.update({name: value})[name]

    def update(self, values: Mapping[str, object]) -> dict[str, Value]:
        """Set several parameters as one change. Raises KeyError or ParameterError and then sets none.

        What is shown follows the last command (`shown.py`): a new prompt clears the slots' weights, and so on.
        """
        parsed = {name: TABLE[name].parse(value) for name, value in values.items()}
        for name in parsed:
            if TABLE[name].kind == "trigger":
                raise ParameterError(f"{name} is a trigger and holds no value")
        with self._lock:
            old = self._snapshot
            settled, cleared = settle(old.values, parsed)
            changed = parsed | settled
            if any(old.values[name] != value for name, value in changed.items()):
                fired = {CLEARED: old.fired(CLEARED) + 1} if cleared else {}
                self._replace({**old.values, **changed}, {**old.triggers, **fired})
        return parsed

    def trigger(self, name: str) -> None:
        """Fire a trigger once. Raises KeyError for a name that is no trigger."""
        if TABLE[name].kind != "trigger":
            raise KeyError(name)
        with self._lock:
            old = self._snapshot
            self._replace(dict(old.values), {**old.triggers, name: old.fired(name) + 1})

    def restore(self, names: Iterable[str] | None = None) -> None:
        """Set the named parameters (default: all) back to their start values."""
        chosen = self._start if names is None else {name: self._start[name] for name in names}
        self.update(chosen)

    def _replace(self, values: Mapping[str, Value], triggers: Mapping[str, int]) -> None:
        version = self._snapshot.version + 1
        self._snapshot = Snapshot(MappingProxyType(dict(values)), MappingProxyType(dict(triggers)), version)
