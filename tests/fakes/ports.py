"""Ports of this machine that no program has."""

from __future__ import annotations

import socket


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """One at 127.0.0.1. kind: socket.SOCK_STREAM for TCP, SOCK_DGRAM for UDP."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
