"""Targets of OSC feedback (fixed ones, senders and subscribers), and the socket that sends it."""

from __future__ import annotations

import logging
import math
import socket
import threading
from collections.abc import Callable, Iterable

from tpos_live.core.errors import reason
from tpos_live.core.parameter import ParameterError

log = logging.getLogger(__name__)

Target = tuple[str, int]
"""IP address and UDP port."""
REPLY_PORT = 9001
LEASE = 60.0
"""Seconds for which a subscription lasts unless renewed, and for which a sender is remembered."""
MAX_SUBSCRIBERS = 16
MAX_HOSTS = 8
_MAX_LOGGED = 64
"""Most different lines that are logged."""
_LOOKUP_SECONDS = 30.0


class Targets:
    """Feedback goes to the fixed targets. Without any, it goes to port 9001 of all hosts that have sent in the last
    minute (the last one always stays), and before that to port 9001 of this machine. Subscribers get it as well.

    Thread contract: any thread may call any method; none waits for the network.
    """

    def __init__(
        self,
        fixed: Iterable[Target] = (),
        own_port: int = 0,
        resolve: Callable[[str], str] = socket.gethostbyname,
    ) -> None:
        """fixed: hosts may be names; a thread resolves them, and retries until it succeeds. own_port: of this session,
        which must not receive its own feedback; 0 = not known yet. resolve: name to IP address, raises OSError."""
        self._resolve = resolve
        self.own_port = own_port
        self._lock = threading.Lock()
        self._fixed = [target for target in fixed if _is_address(target[0])]
        self._names = [target for target in fixed if not _is_address(target[0])]
        self._hosts: dict[str, float] = {"127.0.0.1": -math.inf}
        self._subscribers: dict[Target, float] = {}
        self._logged: set[object] = set()
        self._failing: set[Target] = set()
        self._closed = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._socket.setblocking(False)
        self._is_fixed = bool(self._fixed or self._names)
        if self._names:
            threading.Thread(target=self._resolve_names, name="osc-lookup", daemon=True).start()

    def close(self) -> None:
        """Stop sending."""
        self._closed.set()
        self._socket.close()

    def heard(self, host: str, now: float) -> None:
        """Remember a sender. now: seconds of any monotonic clock."""
        with self._lock:
            hosts = {name: time for name, time in self._hosts.items() if name != host and now - time < LEASE}
            self._hosts = dict([*hosts.items(), (host, now)][-MAX_HOSTS:])

    def subscribe(self, host: str, port: int, now: float) -> None:
        """Add a target for LEASE seconds. Raises ParameterError."""
        target = (host, port)
        if port == self.own_port and _is_ours(host):
            raise ParameterError(f"port {port} is tpos-live's own; subscribe the port that you listen on")
        with self._lock:
            if target not in self._subscribers and len(self._subscribers) >= MAX_SUBSCRIBERS:
                raise ParameterError(f"{MAX_SUBSCRIBERS} programs are subscribed, which is the most")
            self._subscribers = {**self._subscribers, target: now}
        self._log_once(
            ("subscribed", target), f"OSC feedback goes to {host}:{port} as well, for {LEASE:g} s unless renewed"
        )

    def unsubscribe(self, host: str, port: int) -> None:
        """End a subscription, if there is one."""
        with self._lock:
            self._subscribers = {target: at for target, at in self._subscribers.items() if target != (host, port)}

    def expire(self, now: float) -> None:
        """Remove the subscribers whose lease has ended."""
        if all(now - at < LEASE for at in self._subscribers.values()):
            return
        with self._lock:
            ended = [target for target, at in self._subscribers.items() if now - at >= LEASE]
            self._subscribers = {target: at for target, at in self._subscribers.items() if target not in ended}
        for host, port in ended:
            line = f"OSC feedback to {host}:{port} ended: no /tpos/subscribe came for {LEASE:g} s"
            self._log_once(("ended", host, port), line)

    def all(self) -> list[Target]:
        """The current targets of feedback."""
        first = self._fixed if self._is_fixed else [at for host in self._hosts for at in self._default_targets(host)]
        return list(dict.fromkeys([*first, *self._subscribers]))

    def of(self, host: str) -> list[Target]:
        """Targets of an answer to `host`: the fixed ones or its port 9001, and its subscriptions."""
        first = self._fixed if self._is_fixed else self._default_targets(host)
        return list(dict.fromkeys([*first, *(target for target in self._subscribers if target[0] == host)]))

    def _default_targets(self, host: str) -> list[Target]:
        return [] if self.own_port == REPLY_PORT and _is_ours(host) else [(host, REPLY_PORT)]

    def send(self, packet: bytes, targets: Iterable[Target]) -> None:
        """Send a datagram. A failure is logged once per target and cause; the next datagram is tried again."""
        for target in targets:
            try:
                self._socket.sendto(packet, target)
            except BlockingIOError:  # the send buffer is full; the next datagram is newer
                continue
            except OSError as error:
                if self._closed.is_set():
                    return
                self._failing.add(target)
                self._log_once(
                    (target, error.errno),
                    f"OSC feedback to {target[0]}:{target[1]} cannot be sent ({reason(error)}); "
                    "it is tried again with every message",
                )
            else:
                if target in self._failing:
                    self._failing.discard(target)
                    self._log_once(("again", target), f"OSC feedback to {target[0]}:{target[1]} is sent again")

    def _log_once(self, key: object, line: str) -> None:
        with self._lock:
            if key in self._logged or len(self._logged) >= _MAX_LOGGED:
                return
            self._logged.add(key)
        log.info(line)

    def _resolve_names(self) -> None:
        while self._names:
            for host, port in list(self._names):
                try:
                    address = self._resolve(host)
                except (OSError, UnicodeError):
                    line = f"OSC feedback: there is no host named {host}; it is looked up again; check --osc-reply"
                    self._log_once(("name", host), line)
                else:
                    self._names.remove((host, port))
                    self._fixed = [*self._fixed, (address, port)]
            if self._names and self._closed.wait(_LOOKUP_SECONDS):
                return


def is_loop(target: Target, port: int, host: str) -> bool:
    """Whether feedback to `target` would return to a session that listens on host:port."""
    name = target[0]
    if target[1] != port:
        return False
    return name in ("localhost", host) or name.endswith(".255") or (_is_address(name) and _is_ours(name))


def _is_address(host: str) -> bool:
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _is_ours(host: str) -> bool:
    """Whether `host` is an IP address of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
