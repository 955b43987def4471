"""A one-slot, latest-wins mailbox. Threads exchange data only through mailboxes and the audio ring buffer."""

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
        """Wait for an item that was not taken, at most `timeout` seconds; returns whether there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._fresh or self._ended, timeout)
            return self._fresh

    def end(self) -> None:
        """End all waits, now and later, so that the reader can stop. Any thread may call it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
