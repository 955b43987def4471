"""OSC control: one context manager for receiver, router and feedback."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from tpos_live.control.osc_feedback import Feedback
from tpos_live.control.osc_receiver import OscError, Receiver, buffer_advice
from tpos_live.control.osc_router import Datagram, Router
from tpos_live.control.osc_targets import Targets, is_loop
from tpos_live.core.network import RETRY_SECONDS, is_whole_network
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.parameter import ParameterError
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.port_claims import NO_CLAIMS, PortClaims
from tpos_live.core.status import Status

if TYPE_CHECKING:
    from tpos_live.features.features import Features

log = logging.getLogger(__name__)


class OscControl:
    """OSC from `__enter__` to `__exit__`; start it before the engine loads.

    Entering never fails for a port or host that cannot be used: the reason is logged, and the session continues without
    that part. A port that another program has is tried again every RETRY_SECONDS. Closes within 0.2 s. OSC logs at INFO
    only, because errors of senders must not appear on the screen.

    Thread contract: one thread enters and leaves; the attributes may be read from anywhere.
    """

    def __init__(
        self,
        store: ParameterStore,
        status: Callable[[], Status],
        host: str = "127.0.0.1",
        port: int = 9000,
        reply: Iterable[tuple[str, int]] = (),
        features: Callable[[], Features | None] | None = None,
        allow: Iterable[str] = (),
        claims: PortClaims = NO_CLAIMS,
    ) -> None:
        """status, features: called on the feedback thread, must not block. port: -1 = any free port, 0 = no OSC. reply:
        hosts and ports that feedback goes to, () = all senders. allow: senders that are accepted, () = all (see
        `osc_senders.AllowList`).
        """
        self._store = store
        self._status = status
        self._features = features
        self._address = (host, port)
        self._reply = list(reply)
        self._allow = list(allow)
        self._claims = claims
        self._open = contextlib.ExitStack()
        self._closing, self._changing = False, threading.Lock()
        self._feedback: Feedback | None = None
        self._targets: Targets | None = None
        self._receiver: Receiver | None = None
        self._router = Router(store, self._answer, self._subscribe, status)

    @property
    def port(self) -> int:
        """The UDP port in use, 0 while there is none."""
        return self._receiver.port if self._receiver else 0

    @property
    def received(self) -> int:
        """Count of received messages."""
        return self._router.received

    @property
    def bad(self) -> int:
        """Count of invalid messages and packets, and of dropped ones."""
        return self._router.bad + (self._receiver.dropped if self._receiver else 0)

    @property
    def granted_bytes(self) -> int:
        """Size of the receive buffer, 0 while there is none."""
        return self._receiver.granted_bytes if self._receiver else 0

    def __enter__(self) -> OscControl:
        host, port = self._address
        if port == 0:
            return self
        self._start_feedback(host, port)
        try:
            self._listen(host, port)
        except OscError as error:
            log.info(str(error))
            if error.taken:
                self._open.enter_context(_TakenPort(self._listens_now))
        return self

    def _listen(self, host: str, port: int) -> None:
        """Start to receive. Raises OscError."""
        receiver = Receiver(host, max(port, 0), self._handle, self._allow, self._claims)
        self._receiver = self._open.enter_context(receiver)
        if self._targets:
            self._targets.own_port = receiver.port
        if is_whole_network(host) and not self._allow:
            log.info(f"OSC listens to the whole network on port {receiver.port}: anyone on it can control the show")
        if advice := buffer_advice(receiver.granted_bytes):
            log.info(advice)

    def _listens_now(self) -> bool:
        """Try the port again; returns False while another program has it."""
        host, port = self._address
        with self._changing:
            if self._closing:
                return True
            try:
                self._listen(host, port)
            except OscError as error:
                if not error.taken:
                    log.info(str(error))
                return not error.taken
        log.info(f"OSC on {host}:{port}")
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changing:
            self._closing = True
        self._open.close()

    def _start_feedback(self, host: str, port: int) -> None:
        loops = [target for target in self._reply if is_loop(target, port, host)]
        if loops:
            log.info(f"no OSC feedback to our own port {port} (--osc-reply); programs listen on 9001")
        targets = [target for target in self._reply if target not in loops]
        self._targets = Targets(targets, max(port, 0))
        feedback = Feedback(
            self._store,
            self._status,
            self._targets,
            features=self._features,
            applied=self._router.applied,
            last=lambda: self._router.understood,
        )
        self._feedback = self._open.enter_context(feedback)

    def _handle(self, batch: list[Datagram]) -> None:
        if self._targets:
            for host, now in {datagram.host: datagram.time for datagram in batch}.items():
                self._targets.heard(host, now)
        self._router.apply(batch)

    def _answer(self, host: str, address: str, value: float | int | str) -> None:
        if self._feedback:
            self._feedback.answer(host, address, value)

    def _subscribe(self, host: str, port: int, now: float, on: bool) -> None:
        """Begin (on) or end a subscription. Raises ParameterError if it is refused."""
        if self._feedback is None:
            raise ParameterError("there is no feedback in this show")
        if on:
            self._feedback.subscribe(host, port, now)
        else:
            self._feedback.unsubscribe(host, port)


class _TakenPort(OwnThread):
    """Tries a port that another program had again, until it is open or fails for another reason."""

    def __init__(self, listens_now: Callable[[], bool]) -> None:
        super().__init__("osc-port", patience=0.2)
        self._listens_now = listens_now

    def _run(self) -> None:
        while not self._stop.wait(RETRY_SECONDS):
            if self._listens_now():
                return
