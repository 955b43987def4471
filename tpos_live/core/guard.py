"""Errors that must not end a loop: the show goes on without what failed."""

from __future__ import annotations

import logging
import math
import time
from types import TracebackType

from tpos_live.core.errors import first_line

PAUSE = 1.0
"""Seconds."""


class Guard:
    """An error inside `with guard:` is logged as one line, with its traceback at the level DEBUG, and ends there.

    The same line is logged once until another one comes, and no more than one in PAUSE seconds: a loop may run 100
    times a second, and an error may have a number in it that differs each time. So each part that can fail alone has a
    guard of its own. Two threads in one guard at once may log a line twice.
    """

    def __init__(self, log: logging.Logger, what: str, level: int = logging.ERROR) -> None:
        """what: goes on; the line begins with it. level: of the line; the performer sees it from NOTICE on."""
        self._log, self._what, self._level = log, what, level
        self._told, self._told_at = "", -math.inf

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        line = f"{self._what} goes on after an error: {first_line(error)}"
        now = time.monotonic()
        if line != self._told and now - self._told_at >= PAUSE:
            self._told, self._told_at = line, now
            self._log.log(self._level, line)
            self._log.debug("the error", exc_info=error)
        return True
