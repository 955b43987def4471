"""A limit of connections: the process needs its file descriptors for the show."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection

MOST_CONNECTIONS = 200
"""Pages, programs, and requests that are being answered; a request that does not end is given up after 5 s."""


def limited(most: int) -> type[ServerConnection]:
    """A kind of connection of which `most` are open at once; further ones are closed at once. One kind for each server,
    in its event loop."""

    class LimitedConnection(ServerConnection):
        count = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            LimitedConnection.count += 1
            if LimitedConnection.count > most:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            LimitedConnection.count -= 1
            super().connection_lost(exc)

    return LimitedConnection
