"""The engine watch: notices a call into the engine that does not return, as with a driver that hangs.

Such a call cannot be interrupted: its thread is abandoned, and another thread continues with another backend
(`EngineLoader`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from tpos_live.core.errors import first_line
from tpos_live.core.own_thread import OwnThread

log = logging.getLogger(__name__)

LEAST = 8.0
"""Seconds below which no call counts as hung: the first use of a kernel may take some."""
FACTOR = 10.0
"""A call counts as hung if it takes this many times as long as the longest recent call."""
FIRST = 60.0
"""Seconds that a backend's first call may take."""
EVERY = 0.25
"""Seconds between two checks."""
_STEP = 4 * EVERY
"""Most seconds that one check counts: a process that was stopped or asleep has not waited for its engine."""


class CallMeter:
    """How long the calls of one thread into the engine take: `with meter: engine.draw()`.

    Thread contract: one thread enters it, any thread reads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began = clock, 0.0
        self._took: deque[float] = deque(maxlen=32)
        self.begun = 0
        """Calls so far."""
        self.running = False

    def __enter__(self) -> Self:
        self.begun, self._began, self.running = self.begun + 1, self._clock(), True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.running = False
        if error is None:
            self._took.append(self._clock() - self._began)

    def forget(self) -> None:
        """Forget all durations: another backend follows, whose first call may take long."""
        self._took.clear()

    @property
    def limit(self) -> float:
        """Seconds after which a call counts as hung."""
        took = list(self._took)
        return max(LEAST, FACTOR * max(took)) if took else FIRST


class EngineWatch(OwnThread):
    """A context manager: looks at the meters every EVERY seconds, on a thread of its own.

    Thread contract: `check` belongs to one thread.
    """

    def __init__(self, meters: Callable[[], Sequence[CallMeter]], hung: Callable[[float], None]) -> None:
        """meters: of the threads that call the engine now. hung: called once for a call that hangs, with its seconds,
        on the watch's thread; it may take long and raise."""
        super().__init__("engine-watch", patience=1.0)
        self._meters, self._hung = meters, hung
        self._waited: dict[tuple[int, int], float] = {}
        self._checked_at: float | None = None

    def check(self, now: float) -> None:
        """Call `hung` for a call that has exceeded its limit since the last check. now: seconds of any steady clock."""
        passed = min(now - self._checked_at, _STEP) if self._checked_at is not None else 0.0
        self._checked_at = now
        meters = {(id(meter), meter.begun): meter for meter in self._meters() if meter.running}
        before = self._waited
        self._waited = {call: before.get(call, -passed) + passed for call in meters}
        for call, meter in meters.items():
            waited, limit = self._waited[call], meter.limit
            if before.get(call, 0.0) <= limit < waited:
                self._hung(waited)
                return

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.check(time.monotonic())
            except Exception as error:  # the last frame stays
                log.error(f"the engine hangs, and another one cannot be started: {first_line(error, 200)}")
