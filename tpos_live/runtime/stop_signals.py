"""Signals that end a session."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals of this system that end a show. SIGHUP: the terminal was closed."""


class StopEvent(threading.Event):
    """Set by a signal that ends a session. starting: there is nothing to finish yet, so Ctrl-C interrupts at
    once: an import may take seconds."""

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

    with _handled_by(ask, ending_signals()):
        yield event


@contextmanager
def interrupting_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal raise KeyboardInterrupt, as Ctrl-C does: a file that is being written is
    finished. Does nothing on other threads than the main one, which get no signals."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    on_main = threading.current_thread() is threading.main_thread()
    with _handled_by(interrupt, [n for n in ending_signals() if on_main and n is not signal.SIGINT]):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None], numbers: Iterable[int]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, other in before.items():
            signal.signal(number, other)


def ending_signals() -> list[signal.Signals]:
    """The signals of ENDING that end this show: not SIGHUP where it is ignored, as under `nohup`."""
    return [number for number in ENDING if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN]
