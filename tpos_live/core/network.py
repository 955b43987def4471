"""Addresses and ports that a show listens on: their kind, and the reason why a port cannot be used."""

from __future__ import annotations

import errno
import ipaddress
import socket

RETRY_SECONDS = 2.0
"""Seconds between two attempts to open a port that another program has."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address or name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_whole_network(host: str) -> bool:
    """Whether a server on this address listens on all addresses of this machine."""
    return host in ("", "0.0.0.0", "::")


def own_address() -> str:
    """The address of this machine in its network, or the loopback address if there is none. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


class KeptPortError(OSError):
    """A watchdog keeps the port for its show (`port_claims.py`)."""

    def __init__(self) -> None:
        super().__init__(errno.EADDRINUSE, "a watchdog keeps the port")


def is_taken(error: OSError) -> bool:
    """Whether another program has the port."""
    return error.errno == errno.EADDRINUSE or getattr(error, "winerror", 0) in (10013, 10048)


def why_not_listening(error: OSError, host: str, port: int, option: str, taken: str) -> str:
    """Why host:port could not be opened, and the remedy, in one line. option: "--osc" for --osc-host and --osc-port.
    taken: the remedy if another program has the port."""
    if isinstance(error, KeptPortError):
        reason, remedy = f"port {port} is kept for another show, which starts again after a crash", taken
    elif is_taken(error):
        reason, remedy = f"port {port} is taken by another program", taken
    elif error.errno == errno.EACCES:
        reason, remedy = f"port {port} is not allowed", f"choose one above 1023 with {option}-port"
    else:
        reason = f"cannot listen on {host}:{port} ({error.strerror or error})"
        remedy = f"use an address of this machine, or 0.0.0.0 for all, with {option}-host"
    return f"{reason}; {remedy}"
