"""The connections of the server: a limit, because the process needs its file descriptors for the show, and an answer to
requests that the library leaves without one."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidMessage

from tpos_live.web.answers import ONLY_GET, text

MOST_CONNECTIONS = 200
"""Pages, programs, and requests that are being answered; a request that does not end is given up after 5 s."""


def limited(most: int) -> type[ServerConnection]:
    """A kind of connection of which `most` are open at once; further ones are closed at once. A request that the
    library does not read, as one with a body, gets an answer before the library ends the connection. One kind for each
    server, in its event loop."""

    class LimitedConnection(ServerConnection):
        count = 0
        answered = False

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            LimitedConnection.count += 1
            if LimitedConnection.count > most:
                self.transport.abort()

        def send_data(self) -> None:
            if not self.answered and isinstance(self.protocol.handshake_exc, InvalidMessage):
                self.answered = True
                self.transport.write(text(HTTPStatus.BAD_REQUEST, ONLY_GET).serialize())
            super().send_data()

        def connection_lost(self, exc: Exception | None) -> None:
            LimitedConnection.count -= 1
            super().connection_lost(exc)

    return LimitedConnection
