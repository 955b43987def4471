"""The status registry: collects the state of every part in one Status."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.shown import showing, shown_text
from tpos_live.core.status import Status

KEEP = 12.0
"""Seconds for which a message is shown."""


class StatusRegistry:
    """Parts register a provider of their fields of the Status.

    Thread contract: any thread may call any method. `status` calls the providers at most every 50 ms, so HUD and OSC
    together cost no more than one of them.
    """

    def __init__(
        self, store: ParameterStore, say: Callable[[str], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """say: also receives the messages (terminal)."""
        self._store = store
        self._say = say
        self._clock = clock
        self._born = clock()
        self._lock = threading.Lock()
        self._providers: list[Callable[[], dict[str, Any]]] = []
        self._fields: dict[str, Any] = {}
        self._line = ""
        self._line_at = 0.0
        self._said: dict[str, float] = {}
        self._troubles: dict[str, float] = {}
        self._status = Status()
        self._asked = -1.0
        self._process = psutil.Process()

    def report(self, line: str) -> None:
        """Show a message for KEEP seconds, and print it unless it was printed within the last minute."""
        now = self._clock()
        with self._lock:
            self._line, self._line_at = line, now
        self._tell(line, now)

    def _tell(self, line: str, now: float) -> None:
        """Print a message unless it was printed within the last minute."""
        with self._lock:
            new = now - self._said.get(line, -1e9) > 60
            if new:
                self._said[line] = now
                if len(self._said) > 200:
                    self._said.pop(next(iter(self._said)))
        if new:
            self._say(line)

    def update(self, **fields: Any) -> None:
        """Set fields of the Status that change rarely (state, engine, accelerator …)."""
        with self._lock:
            self._fields.update(fields)
        self._asked = -1.0

    def add_provider(self, provider: Callable[[], dict[str, Any]]) -> None:
        """Call `provider` for fields of each Status. A field "message" is shown as long as the provider returns it,
        except for a while after a later message; it is printed when it first appears."""
        with self._lock:
            self._providers.append(provider)

    def status(self) -> Status:
        """The newest Status, at most 50 ms old."""
        now = self._clock()
        if now - self._asked < 0.05:
            return self._status
        self._asked = now
        with self._lock:
            fields = dict(self._fields)
            providers = list(self._providers)
            message, since = (self._line, self._line_at) if now - self._line_at < KEEP else ("", -1.0)
        troubles: dict[str, float] = {}
        for provider in providers:
            found = provider()
            if trouble := found.pop("message", ""):
                troubles[trouble] = self._troubles.get(trouble, now)
                if troubles[trouble] >= since:
                    message, since = trouble, troubles[trouble]
            fields.update(found)
        for trouble in troubles:
            if trouble not in self._troubles:
                self._tell(trouble, now)
        self._troubles = troubles
        values = self._store.snapshot().values
        self._status = replace(
            Status(),
            **fields,
            uptime=now - self._born,
            prompt=shown_text(values),
            showing=showing(values),
            memory_mb=self._process.memory_info().rss / 2**20,
            message=message,
        )
        return self._status
