"""Sends changed parameters to the programs that listen by OSCQuery's WebSocket."""

from __future__ import annotations

import asyncio
import json

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.web import connections
from tpos_live.web.oscquery import QueryError, changes, listened

MOST_LISTENERS = 32


class Listeners:
    """All connected programs. Thread contract: everything on the web thread, in its event loop."""

    def __init__(self, store: ParameterStore) -> None:
        self._store = store
        self._count = 0

    async def serve(self, connection: ServerConnection) -> None:
        """Serve one program until its connection is closed."""
        if self._count >= MOST_LISTENERS:
            await connections.refuse(connection, f"{MOST_LISTENERS} programs listen; close one")
            return
        connections.limit_buffer(connection)
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
            await asyncio.sleep(connections.PAUSE)

    async def _send(self, connection: ServerConnection, paths: set[str]) -> None:
        old = self._store.snapshot()
        with connections.sending(connection, "an OSCQuery program"):
            while True:
                await asyncio.sleep(1.0 / connections.RATE)
                new = self._store.snapshot()
                for message in changes(paths, old.values, new.values):
                    await connections.send(connection, message)
                old = new
