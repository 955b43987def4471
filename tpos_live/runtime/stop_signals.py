"""Signals that end a session."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopEvent(threading.Event):
    """Set by a signal that ends a session. starting: there is nothing to end in order yet, and Ctrl-C interrupts what
    is done, which may be an import of seconds."""

    starting = False


@contextmanager
def stop_signals() -> Iterator[StopEvent]:
    """An event that Ctrl-C, SIGTERM or a closed terminal sets. Ctrl-C raises KeyboardInterrupt at the start, and
    the second time."""
    event = StopEvent()

    def ask(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and (event.is_set() or event.starting):
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, ask) for number in ending_signals()}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupting_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal raise KeyboardInterrupt, as Ctrl-C does: a file that is written gets its end. On
    another thread than the main one, which gets no signals, nothing changes."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    others = [number for number in ending_signals() if number is not signal.SIGINT]
    before = {number: signal.signal(number, interrupt) for number in others}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ending_signals() -> list[signal.Signals]:
    """Those of this system that end a show: a closed terminal too, unless `nohup` says that it shall not."""
    found = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in found if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN]
