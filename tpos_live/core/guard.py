"""Guard: logs an error in a loop and continues, so that a show survives the failure of a part."""

from __future__ import annotations

import logging
import math
import time
from types import TracebackType

from tpos_live.core.errors import first_line

PAUSE = 1.0
"""Shortest time in seconds between two logged lines."""


class Guard:
    """An exception inside `with guard:` is suppressed and logged as one line, with its traceback at the level DEBUG.

    Repeats of a line are not logged, and at most one line in PAUSE seconds: a loop may run 100 times per second, and an
    error may contain a number that differs each time. So each part that can fail alone needs its own guard. Two threads
    in one guard at the same time may log a line twice.
    """

    def __init__(self, log: logging.Logger, what: str, level: int = logging.ERROR) -> None:
        """what: the part that continues, the first words of the line. level: of the line; the HUD shows NOTICE and
        above."""
        self._log, self._what, self._level = log, what, level
        self._logged, self._logged_at = "", -math.inf

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        line = f"{self._what} goes on after an error: {first_line(error)}"
        now = time.monotonic()
        if line != self._logged and now - self._logged_at >= PAUSE:
            self._logged, self._logged_at = line, now
            self._log.log(self._level, line)
            self._log.debug("the error", exc_info=error)
        return True
