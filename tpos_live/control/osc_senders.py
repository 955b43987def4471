"""Which senders may control the show by OSC, and a rate limit for answers to other machines."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from tpos_live.core.network import is_loopback
from tpos_live.core.parameter import shorten

log = logging.getLogger(__name__)

BURST, PER_SECOND = 64, 32
"""Token bucket: answers that a host on another machine gets at once, and per second in the long run. A query of 20
bytes with a pattern has hundreds of answers, and its sender's address can be forged: without a limit the show would
amplify an attack."""
_MOST_HOSTS = 1024
"""Most hosts that are remembered."""


class AllowList:
    """The senders whose messages are accepted. Counts all others, and logs each host once.

    Thread contract: one thread calls `allows`; `refused` may be read from anywhere.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """networks: addresses ("192.168.1.20") and networks ("192.168.1.0/24"); () = all. This machine is always
        allowed. Raises ValueError for any other text."""
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]
        self._known: dict[str, bool] = {}
        self.refused = 0

    def has(self, host: str) -> bool:
        """Whether `host` (an IP address; also IPv4 written as IPv6) is in the list. Any thread; neither counts nor
        logs."""
        if not self._networks or is_loopback(host):
            return True
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return address.is_loopback or any(address in network for network in self._networks)

    def allows(self, host: str) -> bool:
        """Whether to accept a datagram of `host` (an IP address). Counts and logs a refusal."""
        if not self._networks:
            return True
        known = self._known.get(host)
        if known is None:
            known = self.has(host)
            if len(self._known) >= _MOST_HOSTS:
                self._known.clear()
            self._known[host] = known
            if not known:
                log.info(f"OSC from {shorten(host)} is not heard: it is not in osc.allow (--osc-allow)")
        self.refused += not known
        return known


@dataclass
class AnswerLimit:
    """A token bucket per host: BURST answers, refilled by PER_SECOND. No limit for this machine."""

    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def grant(self, host: str, wanted: int, now: float) -> int:
        """How many of the wanted answers may be sent; they count as sent. now: seconds of any monotonic clock."""
        if is_loopback(host):
            return wanted
        left, at = self._left.pop(host, (float(BURST), now))
        left = min(left + max(now - at, 0.0) * PER_SECOND, float(BURST))
        granted = min(wanted, int(left))
        self._left[host] = (left - granted, now)
        if len(self._left) > _MOST_HOSTS:
            del self._left[next(iter(self._left))]
        return granted
