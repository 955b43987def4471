"""OSCQuery: the parameters as a tree of OSC addresses in JSON, so that other programs list them by themselves.

https://github.com/Vidvox/OSCQueryProposal: GET of an address answers with its node, `?VALUE` and the like with one
attribute, `?HOST_INFO` with what the server can do. LISTEN over a WebSocket sends the values of an address that change,
as binary OSC messages.

No node is both a container and a value (`LEAVES`). An attribute, and LISTEN, can be asked for at all addresses that OSC
knows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import unquote

from tpos_live.control.osc_addresses import ADDRESSES, LEAVES, osc_value
from tpos_live.control.osc_feedback import encode
from tpos_live.core.errors import first_line
from tpos_live.core.optional_library import MissingLibraryError, optional_library
from tpos_live.core.parameter import Parameter, Value
from tpos_live.core.parameter_store import Snapshot

ATTRIBUTES = ("ACCESS", "CONTENTS", "DESCRIPTION", "FULL_PATH", "RANGE", "TYPE", "UNIT", "VALUE")
_TYPES = {"float": "f", "int": "i", "bool": "f", "text": "s", "choice": "i", "trigger": "N"}
"""OSC type tag of each kind of parameter: a switch is sent as a float, a choice as its index."""
_READ, _WRITE = 1, 2
log = logging.getLogger(__name__)

SERVICE = "_oscjson._tcp.local."


class QueryError(ValueError):
    """A query that cannot be answered, in one line."""


def host_info(name: str, osc_host: str, osc_port: int) -> dict[str, Any]:
    """The answer to HOST_INFO: what this server can do. osc_host: "" = the host of this server."""
    info: dict[str, Any] = {"NAME": name, "OSC_PORT": osc_port, "OSC_TRANSPORT": "UDP"}
    if osc_host:
        info["OSC_IP"] = osc_host
    known = dict.fromkeys(("ACCESS", "VALUE", "RANGE", "TYPE", "DESCRIPTION", "UNIT", "LISTEN"), True)
    return {**info, "EXTENSIONS": known}


def answer(path: str, query: str, snapshot: Snapshot) -> dict[str, Any] | None:
    """The node of an address, or the one attribute that `query` names; None where there is no such address. Raises
    QueryError for an attribute that is unknown."""
    path = "/" + unquote(path).strip("/")
    if path not in _nodes():
        return None
    attribute = query.partition("&")[0].partition("=")[0].upper()
    if attribute and attribute not in ATTRIBUTES:
        raise QueryError(f"there is no attribute of this name; there are {', '.join(ATTRIBUTES)}")
    node = _node(path, snapshot)
    if not attribute:
        return node
    if (parameter := _parameter(path)) is not None:
        node |= _attributes(parameter, snapshot)
    return {attribute: node[attribute]} if attribute in node else {}


def changes(paths: set[str], old: Mapping[str, Value], new: Mapping[str, Value]) -> list[bytes]:
    """OSC messages of the listened addresses whose values differ."""
    found = [(path, _parameter(path)) for path in sorted(paths)]
    return [encode(path, osc_value(p, new[p.name])) for path, p in found if p and old[p.name] != new[p.name]]


def listened(message: str) -> tuple[bool, str]:
    """(True to begin, False to end; the address) of a text message over the WebSocket. Raises QueryError."""
    try:
        data = json.loads(message)
        command, path = data["COMMAND"], data["DATA"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise QueryError('a message is {"COMMAND": "LISTEN" or "IGNORE", "DATA": an address}') from error
    if command not in ("LISTEN", "IGNORE") or not isinstance(path, str):
        raise QueryError("COMMAND is LISTEN or IGNORE, DATA an address")
    parameter = _parameter(path)
    if parameter is None or parameter.kind == "trigger":
        raise QueryError("there is no value at this address")
    return command == "LISTEN", path


def _parameter(path: str) -> Parameter | None:
    found = ADDRESSES.get(path)
    return found if isinstance(found, Parameter) else None


@cache
def _nodes() -> Mapping[str, tuple[str, ...]]:
    """The names below each address."""
    below: dict[str, dict[str, None]] = {"/": {}}
    for address in LEAVES:
        parts = address.strip("/").split("/")
        for depth, part in enumerate(parts):
            above = "/" + "/".join(parts[:depth])
            below.setdefault(above, {})[part] = None
            below.setdefault(f"{above.rstrip('/')}/{part}", {})
    return {path: tuple(names) for path, names in below.items()}


def _node(path: str, snapshot: Snapshot) -> dict[str, Any]:
    node: dict[str, Any] = {"FULL_PATH": path, "ACCESS": 0}
    if path in LEAVES:
        node |= _attributes(LEAVES[path], snapshot)
    if names := _nodes()[path]:
        node["CONTENTS"] = {name: _node(f"{path.rstrip('/')}/{name}", snapshot) for name in names}
    return node


def _attributes(p: Parameter, snapshot: Snapshot) -> dict[str, Any]:
    found: dict[str, Any] = {"TYPE": _TYPES[p.kind], "DESCRIPTION": p.text}
    if p.kind == "trigger":
        return {**found, "ACCESS": _WRITE}
    found |= {"ACCESS": _READ | _WRITE, "VALUE": [osc_value(p, snapshot[p.name])]}
    if p.kind == "choice":
        # Indices, not words: VALS of the proposal lists values as they are sent.
        found["RANGE"] = [{"MIN": 0, "MAX": len(p.choices) - 1, "VALS": list(range(len(p.choices)))}]
        found["DESCRIPTION"] += ": " + ", ".join(f"{n} {word}" for n, word in enumerate(p.choices))
    elif p.kind == "bool":
        found["RANGE"] = [{"MIN": 0.0, "MAX": 1.0}]
    elif math.isfinite(p.low) and math.isfinite(p.high):
        found["RANGE"] = [{"MIN": 0 if p.off_below else p.low, "MAX": p.high}]
    if p.unit:
        found["UNIT"] = [p.unit]
    return found


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
