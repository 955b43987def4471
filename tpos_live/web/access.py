"""Who may use the control page: checks of the headers Host and Origin, and of the token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from tpos_live.core.network import is_loopback

FOREIGN = "this address belongs to another site's page; open the control page by its own address"
NO_TOKEN = "open the address as the terminal prints it, with its token"


def new_token() -> str:
    """A token of 96 random bits, for an address."""
    return secrets.token_urlsafe(12)


@dataclass(frozen=True)
class Access:
    """host: address that the server listens on. token: what an address must contain, "" = nothing (loopback)."""

    host: str
    token: str

    @classmethod
    def to(cls, host: str, token: str = "") -> Access:
        """Access to a server on `host`: on loopback without a token, elsewhere with `token` or a new one."""
        return cls(host, "" if is_loopback(host) else token or new_token())

    def foreign(self, headers: Mapping[str, str]) -> str:
        """Why a request is refused because of the site that it comes from; "" if it is not.

        A page of another site that is open in the same browser can send requests to this server. Its Origin differs
        from the Host. With DNS rebinding both are the same, a name of that site: on loopback only names of this
        machine are accepted, elsewhere the token protects. Programs that are no browsers send no Origin.
        """
        host = headers.get("Host", "").lower()
        origin = headers.get("Origin", "").lower()
        if not host or (origin and origin.partition("://")[2] != host):
            return FOREIGN
        if not self.token and not is_loopback(_name(host)):
            return FOREIGN
        return ""

    def allows(self, token: str) -> bool:
        """Whether a request with this token may go on."""
        return not self.token or secrets.compare_digest(token.encode("utf-8", "replace"), self.token.encode())


def _name(host: str) -> str:
    """The Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
