"""Parts of a show that have a thread of their own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class OwnThread(ABC):
    """A context manager: entering starts the thread, leaving asks it to end and waits for it.

    Thread contract: `_run` is called once, on the thread. It looks at `_stop`, or waits on it, and returns soon after
    it is set; where it waits for something else, `_wake` ends that. What takes longer than `patience` is left behind.
    The thread is a daemon, so it never keeps the process. An object is entered once. A subclass whose part may be off
    starts no thread by an `__enter__` of its own; leaving then waits for nothing.
    """

    def __init__(self, name: str, patience: float) -> None:
        """name: of the thread. patience: seconds that leaving waits for it at most."""
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
        """End what the thread waits for, beside `_stop`; called once that is set."""
        return

    @abstractmethod
    def _run(self) -> None:
        """What the thread does."""
