"""Programs that listen to parameters by OSCQuery's WebSocket."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tpos_live.core.errors import first_line
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.web import hub
from tpos_live.web.oscquery import QueryError, changes, listened

log = logging.getLogger(__name__)


class Listeners:
    """Thread contract: everything on the web thread, in its event loop."""

    def __init__(self, store: ParameterStore) -> None:
        self._store = store
        self._count = 0

    async def serve(self, connection: ServerConnection) -> None:
        """Serve one program until its connection is closed."""
        if self._count >= hub.MOST_PAGES:
            await connection.close(hub.TOO_MANY, f"{hub.MOST_PAGES} programs listen; close one")
            return
        hub.limit_buffer(connection)
        self._count += 1
        paths: set[str] = set()
        sender = asyncio.create_task(self._send(connection, paths))
        try:
            await self._receive(connection, paths)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            self._count -= 1

    async def _receive(self, connection: ServerConnection, paths: set[str]) -> None:
        async for message in connection:
            try:
                if not isinstance(message, str):
                    raise QueryError("values are set by OSC over UDP, not over this connection")
                on, path = listened(message)
            except QueryError as error:
                await connection.send(json.dumps({"error": str(error)}))
            else:
                (paths.add if on else paths.discard)(path)
            await asyncio.sleep(hub.PAUSE)

    async def _send(self, connection: ServerConnection, paths: set[str]) -> None:
        old = self._store.snapshot()
        with suppress(ConnectionClosed):
            try:
                while True:
                    await asyncio.sleep(1.0 / hub.RATE)
                    new = self._store.snapshot()
                    for message in changes(paths, old.values, new.values):
                        await asyncio.wait_for(connection.send(message), hub.PATIENCE)
                    old = new
            except TimeoutError:
                log.info("an OSCQuery program that does not read was disconnected")
                connection.transport.abort()
            except ConnectionClosed:
                raise
            except Exception as error:  # else it would wait for values that never come
                log.info(f"an OSCQuery program was disconnected after an error ({first_line(error)})")
                connection.transport.abort()
