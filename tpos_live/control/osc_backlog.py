"""Datagrams that wait to be handled: bounded, and what makes a show safe goes first."""

from __future__ import annotations

import threading
from collections import deque

from tpos_live.control.osc_addresses import ADDRESSES
from tpos_live.control.osc_packets import read
from tpos_live.control.osc_router import Button, Datagram
from tpos_live.core.parameter import Parameter, ParameterError

PANIC = "out.panic"
SAFETY = (PANIC, "out.blackout", "out.freeze")
"""Parameters whose messages overtake all others."""
_URGENT = {
    address.encode() + b"\0": target.name
    for address, target in ADDRESSES.items()
    if isinstance(target, Parameter) and target.name in SAFETY
}
_PANIC = next(address for address, name in _URGENT.items() if name == PANIC)
_SHORT = 64
"""Bytes that hold a panic's address and its arguments: a bundle of many messages is not parsed twice."""
_MOST_URGENT = 1024
_BUNDLE = b"#bundle\0"


def urgency(data: bytes) -> set[str]:
    """Those of SAFETY that a datagram speaks of, at their own addresses (a pattern is not urgent)."""
    if data.startswith(_BUNDLE):
        return {name for address, name in _URGENT.items() if address in data}
    name = _URGENT.get(data[: data.find(b"\0") + 1])
    return {name} if name else set()


class Backlog:
    """First in, first out, but for the messages of SAFETY, which are taken before all others, in their own order.

    Above the limit the oldest are dropped. A panic that is pressed drops everything that came before it and was not
    handled yet, so that nothing old moves the calm show again; its button's release, which some programs send in every
    frame, drops nothing. All that is dropped is counted in `dropped`.

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
        """Add the newest."""
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
        """Whether a datagram with the panic's address fires it."""
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
        """End `take` permanently."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
