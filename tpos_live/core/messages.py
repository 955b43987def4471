"""Messages to people, by the standard `logging` module: its levels, and the handler for the terminal.

A module says something with `log = logging.getLogger(__name__)`; the level decides who sees it:

- DEBUG: developers, who set the level themselves.
- INFO: readers of the terminal.
- NOTICE: the performer, on terminal, HUD and OSC (`runtime/status_registry.py`): what has changed.
- WARNING and ERROR: the same readers: what is wrong, and what to do.

Importing tpos_live configures nothing, so in another program messages go where that program's logging sends them. The
commands print them with `terminal_messages`.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TextIO

import click

NOTICE = 25
"""Level between INFO and WARNING, for news that the performer should know while nothing is wrong."""
logging.addLevelName(NOTICE, "NOTICE")
REPEAT = 60.0
"""Seconds within which the same message from NOTICE on is printed only once: an error may repeat in every frame."""
_REMEMBERED = 200
"""Most lines that are remembered for this."""
_WAITING, _LEAVE = 1000, 1.0
"""Most lines in the queue of `background_writer`, and seconds that leaving waits for them."""

_logger = logging.getLogger("tpos_live")
_lock = threading.Lock()
_handlers: list[logging.Handler] = []
_before = logging.NOTSET, True
"""Level and propagation of the logger before the first handler."""


class LineHandler(logging.Handler):
    """Calls a function with the text of each message, in the thread that logs it. Errors of the function do not reach
    that thread."""

    def __init__(self, write: Callable[[str], None], level: int) -> None:
        super().__init__(level)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(record.getMessage())
        except Exception:
            self.handleError(record)


class TerminalHandler(LineHandler):
    """Prints messages from INFO on, those from NOTICE on at most once in REPEAT seconds.

    Of several terminal handlers only the newest one prints, so no line appears twice.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(write, logging.INFO)
        self._clock = clock
        self._printed: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        newest = next((h for h in reversed(_handlers) if isinstance(h, TerminalHandler)), self)
        if newest is self and (record.levelno < NOTICE or self._is_new(record.getMessage())):
            super().emit(record)

    def _is_new(self, line: str) -> bool:
        now = self._clock()
        if now - self._printed.get(line, -REPEAT) < REPEAT:
            return False
        self._printed.pop(line, None)
        self._printed[line] = now
        if len(self._printed) > _REMEMBERED:
            del self._printed[next(iter(self._printed))]
        return True


@contextmanager
def handling(handler: logging.Handler) -> Iterator[None]:
    """Send the messages of tpos_live to `handler` inside the context. Contexts may overlap in any order, on any
    threads.

    The logger's level is low enough for all handlers, and is restored after the last of them. While a terminal handler
    prints, the handlers of the root logger get nothing: a library that installs one would print every line again.
    """
    global _before
    with _lock:
        if not _handlers:
            _before = _logger.level, _logger.propagate
        _handlers.append(handler)
        _logger.addHandler(handler)
        _adapt()
    try:
        yield
    finally:
        with _lock:
            _handlers.remove(handler)
            _logger.removeHandler(handler)
            _adapt()


def _adapt() -> None:
    """Set the logger's level and propagation for the handlers in use."""
    level, propagate = _before
    effective = level or logging.getLogger().level
    _logger.setLevel(min(effective, *(h.level for h in _handlers)) if _handlers else level)
    _logger.propagate = propagate and not any(isinstance(h, TerminalHandler) for h in _handlers)


def write_line(line: str) -> None:
    """Write a line on stderr."""
    click.echo(line, file=_own_stderr() if sys.stderr is sys.__stderr__ else None, err=True)


@cache
def _own_stderr() -> TextIO | None:
    """stderr with its own file descriptor; None without stderr, and on Windows, whose console cannot be duplicated.

    sounddevice redirects descriptor 2 to the null device while PortAudio starts, which can take seconds, and at each
    scan of devices: lines of other threads would be lost.
    """
    try:
        if os.name == "nt" or sys.stderr.fileno() != 2:
            return None
        return os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace", buffering=1)
    except (OSError, ValueError, AttributeError):
        return None


@contextmanager
def terminal_messages(prefix: str = "", write: Callable[[str], None] = write_line) -> Iterator[None]:
    """Print messages inside the context, each with `prefix`."""
    if sys.stderr is sys.__stderr__:
        _own_stderr()  # before a library takes stderr away
    with handling(TerminalHandler(lambda line: write(prefix + line))):
        yield


@contextmanager
def background_writer(write: Callable[[str], None] = write_line) -> Iterator[Callable[[str], None]]:
    """Yields a function that queues a line for a writing thread and never waits.

    A terminal that is stopped (Ctrl-S, or a pipe that nobody reads) must not stop the threads of a session. More than
    _WAITING lines are dropped; leaving waits for those left, for at most _LEAVE seconds.
    """
    lines: queue.Queue[str | None] = queue.Queue(_WAITING)

    def work() -> None:
        while (line := lines.get()) is not None:
            with suppress(Exception):  # the terminal was closed
                write(line)

    def put(line: str | None) -> None:
        with suppress(queue.Full):
            lines.put_nowait(line)

    thread = threading.Thread(target=work, name="terminal", daemon=True)
    thread.start()
    try:
        yield put
    finally:
        put(None)
        thread.join(_LEAVE)
