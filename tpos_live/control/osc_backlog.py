"""The queue of received datagrams: bounded, and messages for the safety of a show go first."""

from __future__ import annotations

import threading
from collections import deque

from tpos_live.control.osc_addresses import ADDRESSES
from tpos_live.control.osc_packets import BUNDLE, read
from tpos_live.control.osc_router import Button, Datagram
from tpos_live.core.parameter import Parameter, ParameterError

PANIC = "out.panic"
SAFETY = (PANIC, "out.blackout", "out.freeze")
"""Parameters whose messages overtake all other messages."""
_URGENT = {
    address.encode() + b"\0": target.name
    for address, target in ADDRESSES.items()
    if isinstance(target, Parameter) and target.name in SAFETY
}
_PANIC = next(address for address, name in _URGENT.items() if name == PANIC)
_SHORT = 64
"""Bytes that are enough for a panic's address and arguments, so that a large bundle is not parsed twice."""
_MOST_URGENT = 1024
"""Most urgent datagrams in the queue."""


def urgency(data: bytes) -> set[str]:
    """The parameters of SAFETY whose addresses a datagram contains (patterns do not count)."""
    if data.startswith(BUNDLE):
        return {name for address, name in _URGENT.items() if address in data}
    name = _URGENT.get(data[: data.find(b"\0") + 1])
    return {name} if name else set()


class Backlog:
    """First in, first out, except that messages of SAFETY are taken before all others, in their own order.

    Above the limit the oldest datagrams are dropped. A panic drops all earlier datagrams that were not handled yet, so
    that no old message changes the safe image. The release of the panic button, which some programs send in every
    frame, drops nothing. `dropped` counts all dropped datagrams.

    Thread contract: one thread calls `put`, one thread calls `take`, any thread calls `close`.
    """

    def __init__(self, most: int = 16_384, most_bytes: int = 16 << 20) -> None:
        self._items: deque[Datagram] = deque()
        self._urgent: deque[Datagram] = deque()
        self._bytes = 0
        self._most = most
        self._most_bytes = most_bytes
        self._open = True
        self._panic = Button(PANIC)
        self._changed = threading.Condition()
        self.dropped = 0

    def put(self, item: Datagram) -> None:
        """Add a datagram."""
        urgent = urgency(item.data)
        with self._changed:
            if PANIC in urgent and self._is_pressed(item):
                self._drop(len(self._items))
            if urgent:
                self._urgent.append(item)
                if len(self._urgent) > _MOST_URGENT:
                    self._urgent.popleft()
                    self.dropped += 1
            else:
                self._items.append(item)
                self._bytes += len(item.data)
            while len(self._items) > self._most or self._bytes > self._most_bytes:
                self._drop(1)
            self._changed.notify()

    def _is_pressed(self, item: Datagram) -> bool:
        """Whether a datagram with the panic's address fires the panic."""
        at = item.data.find(_PANIC)
        messages, _ = read(item.data[at : at + _SHORT])
        try:
            return any(self._panic.fires(message.args, item.time) for message in messages)
        except ParameterError:
            return False

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._bytes -= len(self._items.popleft().data)
        self.dropped += count

    def take(self, most: int) -> list[Datagram] | None:
        """Wait for datagrams and take up to `most`, the urgent ones or else the oldest; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._urgent or not self._open)
            if not self._open:
                return None
            queue = self._urgent or self._items
            batch = [queue.popleft() for _ in range(min(most, len(queue)))]
            if queue is self._items:
                self._bytes -= sum(len(item.data) for item in batch)
            return batch

    def close(self) -> None:
        """Let `take` return None from now on."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
