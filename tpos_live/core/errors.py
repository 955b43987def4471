"""Errors that several packages share, and errors as one line of text."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable


class EngineError(Exception):
    """An engine cannot be used: what, where and the remedy, in one line."""


class EngineHungError(EngineError):
    """A call into an engine does not return; its thread cannot be stopped."""


class CannotDrawError(EngineError):
    """An engine failed at its first frame: its files load, but do not belong together. See `__cause__`."""


class NotReady(EngineError):
    """A backend is not prepared for an engine yet, or its prepared files cannot be used: the reason, in one line."""


def first_line(error: BaseException, most: int = 120) -> str:
    """The first line of an error, at most `most` characters: texts of libraries can be pages long.

    Removes PyTorch's source location at the start ("[enforce fail at alloc_cpu.cpp:127] err == 0. "). An error without
    a text gives the name of its class.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[enforce fail at [^]]*\] [^.]*\. (?=.)", "", line)[:most]


def reason(error: BaseException, most: int = 200) -> str:
    """The system's text of an OSError, without number and path; the first line of any other error."""
    return getattr(error, "strerror", None) or first_line(error, most)


def one_line(text: str) -> str:
    """`text` without line breaks and control characters, which a file's name may contain and a terminal obeys."""
    return "".join("?" if unicodedata.category(sign) == "Cc" else sign for sign in " ".join(text.splitlines()))


def exit_status(work: Callable[[], None]) -> int:
    """The exit status of a child process that does `work`: 0, or 1 with the first line of the error on stderr."""
    try:
        work()
    except Exception as error:
        print(first_line(error, 200), file=sys.stderr)
        return 1
    return 0
