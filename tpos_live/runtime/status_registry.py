"""The status registry: collects the state of every part in one Status, and the messages for HUD and OSC."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self

import psutil

from tpos_live.core.guard import Guard
from tpos_live.core.messages import NOTICE, LineHandler, handling
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.shown import showing, shown_text
from tpos_live.core.status import Status

log = logging.getLogger(__name__)

KEEP = 12.0
"""Seconds for which a message is shown."""


class StatusRegistry:
    """Parts register a provider of their fields of the Status. While it is entered, it shows the newest message from
    NOTICE on, for KEEP seconds.

    Thread contract: one thread enters and leaves; any thread may call any other method, and log. `status` calls the
    providers at most every 50 ms, so HUD and OSC together cost no more than one of them.
    """

    def __init__(self, store: ParameterStore, clock: Callable[[], float] = time.perf_counter) -> None:
        self._store = store
        self._clock = clock
        self._born = clock()
        self._lock = threading.Lock()
        self._providers: list[tuple[Callable[[], dict[str, Any]], Guard]] = []
        self._fields: dict[str, Any] = {}
        self._line = ""
        self._line_at = 0.0
        self._troubles: dict[str, float] = {}
        self._status = Status()
        self._refreshed_at = -1.0
        self._process = psutil.Process()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        handler = LineHandler(self._show, NOTICE)
        # A provider's message is shown while the provider returns it; this module logs it for the terminal only.
        handler.addFilter(lambda record: record.name != __name__)
        self._stack.enter_context(handling(handler))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def _show(self, line: str) -> None:
        now = self._clock()
        with self._lock:
            self._line, self._line_at = line, now

    def update(self, **fields: Any) -> None:
        """Set fields of the Status that change rarely (state, engine, backend …)."""
        with self._lock:
            self._fields.update(fields)
        self._refreshed_at = -1.0

    def add_provider(self, provider: Callable[[], dict[str, Any]]) -> None:
        """Call `provider` for fields of each Status. A field "message" is shown as long as the provider returns it,
        except for a while after a later message. It is logged when it first appears, unless it was just logged."""
        with self._lock:
            self._providers.append((provider, Guard(log, "the status")))

    def status(self) -> Status:
        """The newest Status, at most 50 ms old."""
        now = self._clock()
        if now - self._refreshed_at < 0.05:
            return self._status
        self._refreshed_at = now
        with self._lock:
            fields = dict(self._fields)
            providers = list(self._providers)
            message, since = (self._line, self._line_at) if now - self._line_at < KEEP else ("", -1.0)
        troubles, just_logged = dict[str, float](), message
        for provider, guard in providers:
            found: dict[str, Any] = {}
            with guard:
                found = provider()
            if trouble := found.pop("message", ""):
                troubles[trouble] = self._troubles.get(trouble, now)
                if troubles[trouble] >= since:
                    message, since = trouble, troubles[trouble]
            fields.update(found)
        for trouble in troubles:
            if trouble not in self._troubles and trouble != just_logged:
                log.warning(trouble)
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
