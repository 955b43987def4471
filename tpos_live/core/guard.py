"""What must go on for the whole show, whatever one round of it does."""

from __future__ import annotations

import logging
from types import TracebackType

from tpos_live.core.errors import first_line


class Guard:
    """An error inside `with guard:` is logged as one line, with its traceback at the level DEBUG, and is over.

    The same line is logged once until another one comes: a round may be done 20 times a second. So what fails by itself
    has a guard of its own. Two threads in one at once may log a line twice.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        """what: goes on; the line begins with it."""
        self._log, self._what = log, what
        self._told = ""

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        line = f"{self._what} goes on after an error: {first_line(error)}"
        if line != self._told:
            self._told = line
            self._log.error(line)
            self._log.debug("the error", exc_info=error)
        return True
