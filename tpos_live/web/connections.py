"""Rules for all connections of the server: a limit of their number, and when one is closed.

The limit keeps file descriptors free for the show. Requests that the library does not answer get an answer here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tpos_live.core.errors import first_line
from tpos_live.web.answers import ONLY_GET, text

log = logging.getLogger(__name__)

RATE = 15.0
"""Updates per second."""
PATIENCE = 5.0
"""Seconds after which a client that does not read is disconnected."""
PAUSE = 0.002
"""Seconds of pause after each received message: a flood must not keep the interpreter from the rendering threads."""
MOST_CONNECTIONS = 200
"""Pages, programs, and requests in progress; an incomplete request is dropped after 5 s."""
_SEND_BUFFER = 65_536
_TRY_AGAIN_LATER = 1013
"""WebSocket's code for it."""


async def refuse(connection: ServerConnection, reason: str) -> None:
    """Close a connection because there are too many; the client may try again later."""
    await connection.close(_TRY_AGAIN_LATER, reason)


async def send(connection: ServerConnection, message: str | bytes) -> None:
    """Send a message. Raises TimeoutError after PATIENCE seconds, and ConnectionClosed."""
    await asyncio.wait_for(connection.send(message), PATIENCE)


@contextmanager
def sending(connection: ServerConnection, who: str) -> Iterator[None]:
    """A context around all calls of `send` for a connection. If the client does not read, or an error occurs, the
    connection is closed with one line in the log: else the client would keep showing old values.

    who: the client; the line begins with it."""
    try:
        yield
    except ConnectionClosed:
        return
    except TimeoutError:
        log.info(f"{who} that does not read was disconnected")
    except Exception as error:
        log.info(f"{who} was disconnected after an error ({first_line(error)}); it may connect again")
    connection.transport.abort()


def limit_buffer(connection: ServerConnection) -> None:
    """Keep the system from holding back many seconds of news for a page that reads slowly."""
    raw = connection.transport.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)


def limited(most: int) -> type[ServerConnection]:
    """A class of connections, of which at most `most` are open; further ones are closed at once. A request that the
    library does not read, for example one with a body, gets an answer before the library closes the connection. One
    class for each server, in its event loop."""

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
