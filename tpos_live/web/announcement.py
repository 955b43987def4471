"""Announces OSCQuery on the network by zeroconf (mDNS), so that other programs find the show. An optional extra."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress

from tpos_live.core.errors import first_line
from tpos_live.core.optional_library import MissingLibraryError, optional_library

log = logging.getLogger(__name__)

SERVICE = "_oscjson._tcp.local."


async def announce(name: str, address: str, port: int) -> None:
    """Announce `name` at an IP address until the task is cancelled; without the library, or where the network does not
    allow it, do nothing."""
    try:
        library = optional_library("zeroconf", "oscquery")
        asynchronous = optional_library("zeroconf.asyncio", "oscquery")
    except MissingLibraryError as error:
        log.debug(str(error))
        return
    zeroconf = None
    try:
        # Only where the server is reached: loopback is announced to this machine alone.
        zeroconf = asynchronous.AsyncZeroconf(interfaces=[address])
        info = library.ServiceInfo(
            SERVICE, f"{name}.{SERVICE}", addresses=[socket.inet_aton(address)], port=port, server=f"{name}.local."
        )
        await zeroconf.async_register_service(info, allow_name_change=True)
        await asyncio.Event().wait()
    except Exception as error:  # no network, no multicast
        log.info(f"OSCQuery is not announced on the network: {first_line(error)}")
    finally:
        if zeroconf is not None:
            with suppress(Exception):
                await zeroconf.async_close()
