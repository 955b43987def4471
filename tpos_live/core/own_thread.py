"""Base class for parts of a show that have their own thread."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class OwnThread(ABC):
    """A context manager: entering starts the thread, leaving asks it to end and waits for it.

    Thread contract: the thread calls `_run` once. `_run` checks `_stop`, or waits on it, and returns soon after it is
    set; `_wake` ends any other wait. A thread that takes longer than `patience` to end is abandoned; it is a daemon, so
    it never keeps the process alive. Enter an object once. A subclass whose part is off overrides `__enter__` and
    starts no thread; leaving then waits for nothing.
    """

    def __init__(self, name: str, patience: float) -> None:
        """name: of the thread. patience: most seconds that leaving waits for it."""
        self._patience = patience
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(self._patience)

    def _wake(self) -> None:
        """End any wait of the thread other than on `_stop`; called after `_stop` is set."""
        return

    @abstractmethod
    def _run(self) -> None:
        """The work of the thread."""
