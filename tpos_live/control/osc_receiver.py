"""The OSC receiver: one thread receives datagrams, another one handles them, so that bursts are not lost."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from tpos_live.control.osc_backlog import Backlog
from tpos_live.control.osc_router import Datagram
from tpos_live.control.osc_senders import AllowList
from tpos_live.core.guard import Guard
from tpos_live.core.network import is_taken, is_whole_network, why_not_listening
from tpos_live.core.port_claims import NO_CLAIMS, PortClaims

log = logging.getLogger(__name__)

BUFFER_BYTES = 4 << 20
"""Requested size of the receive buffer, for bursts while the process is busy."""
_MAX_DATAGRAM = 65_535
_TAKEN = "close that program, and the show takes it, or choose another port with --osc-port"
_STOP = b""
_SLICE = 16
_PAUSE = 0.0015
"""Datagrams handled in a row (_SLICE), and seconds of pause after them. Without it a flood would take the GIL from the
rendering threads, which wait up to its switch interval (1 ms) for it. 2,000 messages take 0.3 s."""


class OscError(RuntimeError):
    """OSC cannot start: the reason and the remedy, in one line. The session continues without OSC."""

    def __init__(self, message: str, taken: bool) -> None:
        """taken: whether another program has the port."""
        super().__init__(message)
        self.taken = taken


def granted_bytes(udp: socket.socket) -> int:
    """Request a receive buffer; returns its actual size in bytes."""
    wanted = BUFFER_BYTES
    while wanted >= 65_536:
        try:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
            break
        except OSError:  # macOS refuses a size that Linux would reduce
            wanted //= 2
    granted = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return granted // 2 if sys.platform == "linux" else granted  # Linux reports twice the usable size


def buffer_advice(granted: int) -> str:
    """Text on how to enlarge the receive buffer, "" if it is large enough. granted: bytes."""
    if granted >= BUFFER_BYTES:
        return ""
    remedy = {
        "linux": f"raise it with: sudo sysctl -w net.core.rmem_max={BUFFER_BYTES}",
        "darwin": f"raise it with: sudo sysctl -w kern.ipc.maxsockbuf={2 * BUFFER_BYTES}",
    }.get(sys.platform, "send less at once")
    return f"OSC bursts may lose messages: the receive buffer is {granted // 1024} KiB of 4096; {remedy}"


def granted_buffer() -> int:
    """Size in bytes of the receive buffer that this machine grants."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        return granted_bytes(udp)


class Receiver:
    """Listens on one UDP port from `__enter__` to `__exit__`.

    A second thread calls handle(batch) with up to _SLICE datagrams. Thread contract: one thread enters and leaves; the
    attributes may be read from anywhere.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handle: Callable[[list[Datagram]], None],
        allow: Iterable[str] = (),
        claims: PortClaims = NO_CLAIMS,
    ) -> None:
        """port: 0 = any free port, then in `port`. allow: see AllowList. claims: ports kept for other shows."""
        self._claims = claims
        self._handle = handle
        self._allowed = AllowList(allow)
        self._backlog = Backlog()
        self._closing = False
        self.host = host
        self.port = port
        self.granted_bytes = 0

    @property
    def dropped(self) -> int:
        """Received datagrams that were not handled: the backlog was full, a panic dropped them, or their sender is not
        allowed."""
        return self._backlog.dropped + self._allowed.refused

    def __enter__(self) -> Receiver:
        """Bind and start. Raises OscError if the port is in use, or `host` is no address of this machine."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.granted_bytes = granted_bytes(self._socket)
            self._claims.check("osc", self.host, self.port)
            self._socket.bind((self.host, self.port))
            self._claims.keep("osc", self.host, self.port)
        except OSError as error:
            self._socket.close()
            why = why_not_listening(error, self.host, self.port, "--osc", _TAKEN)
            raise OscError(f"no OSC: {why}", is_taken(error)) from error
        self.port = self._socket.getsockname()[1]
        self._threads = [
            threading.Thread(target=self._receive, name="osc-receive", daemon=True),
            threading.Thread(target=self._work, name="osc-handle", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._backlog.close()
        host = "127.0.0.1" if is_whole_network(self.host) else self.host
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(_STOP, (host, self.port))  # closing a socket does not wake its reader on all systems
        for thread in self._threads:
            thread.join(0.2)
        self._socket.close()

    def _receive(self) -> None:
        space = bytearray(_MAX_DATAGRAM)
        view, guard = memoryview(space), Guard(log, "OSC", logging.INFO)
        while not self._closing:
            try:
                count, sender = self._socket.recvfrom_into(space)
            except OSError:  # Windows reports a peer's closed port here
                time.sleep(0.001)
                continue
            with guard:
                if count and self._allowed.allows(sender[0]):
                    self._backlog.put(Datagram(bytes(view[:count]), sender[0], time.monotonic(), sender[1]))

    def _work(self) -> None:
        guard = Guard(log, "OSC", logging.INFO)
        while (batch := self._backlog.take(_SLICE)) is not None:
            with guard:
                self._handle(batch)
            time.sleep(_PAUSE)
