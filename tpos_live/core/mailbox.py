"""A one-slot, latest-wins mailbox: besides the audio ring buffer the only thing that threads share."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Passes the newest item from one writer thread to one reader thread.

    Thread contract: one thread calls `put`, one thread calls `take`; `latest` may be called from anywhere and takes
    nothing. No call blocks except `wait`, and the writer never waits for the reader: an item that was not taken is
    replaced and counted in `replaced`.
    """

    def __init__(self) -> None:
        self._item: T | None = None
        self._fresh = self._ended = False
        self._changed = threading.Condition()
        self.replaced = 0
        """Items replaced before they were taken."""

    def put(self, item: T) -> None:
        """Store `item` as the newest."""
        with self._changed:
            if self._fresh:
                self.replaced += 1
            self._item, self._fresh = item, True
            self._changed.notify_all()

    def take(self) -> T | None:
        """The newest item if it was not taken yet, else None."""
        with self._changed:
            if not self._fresh:
                return None
            self._fresh = False
            return self._item

    def latest(self) -> T | None:
        """The newest item, taken or not; None before the first."""
        return self._item

    def wait(self, timeout: float) -> bool:
        """Wait until there is an item that was not taken, `timeout` seconds at most; whether there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._fresh or self._ended, timeout)
            return self._fresh

    def end(self) -> None:
        """Let nobody wait any more: the reader is asked to stop. Any thread may call it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
