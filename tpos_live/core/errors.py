"""The errors of several packages, and an error as one line of text."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable


class EngineError(Exception):
    """An engine cannot be used: one line that says what, where and what to do."""


class EngineHungError(EngineError):
    """A call into an engine does not return; its thread cannot be stopped."""


class CannotDrawError(EngineError):
    """An engine failed at its first frame: its files load, but do not belong together. Its `__cause__` says more."""


class NotReady(EngineError):
    """A backend is not prepared for an engine yet, or what was prepared cannot be used: one line."""


def first_line(error: BaseException, most: int = 120) -> str:
    """What an error says, in one line of `most` characters at most: the errors of libraries can be pages long.

    Without the place in PyTorch's source that it begins with ("[enforce fail at alloc_cpu.cpp:127] err == 0. "). The
    name of its class if it says nothing.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[enforce fail at [^]]*\] [^.]*\. (?=.)", "", line)[:most]


def reason(error: BaseException, most: int = 200) -> str:
    """The same for an error of the system: its own words, without number and path, where it has some."""
    return getattr(error, "strerror", None) or first_line(error, most)


def exit_status(work: Callable[[], None]) -> int:
    """The exit status of a child process that does `work`: 0, or 1 with the first line of the error on stderr."""
    try:
        work()
    except Exception as error:
        print(first_line(error, 200), file=sys.stderr)
        return 1
    return 0
