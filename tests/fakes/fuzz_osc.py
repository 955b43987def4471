"""Doors of OSC: a datagram as it is parsed, and as a show obeys it, without a socket."""

from __future__ import annotations

import itertools
import struct

from fakes.fuzz_network import Door

from tpos_live.control import osc_packets
from tpos_live.control.osc_addresses import ADDRESSES, Command
from tpos_live.control.osc_feedback import encode
from tpos_live.control.osc_router import Datagram, Router
from tpos_live.core.parameter import Parameter
from tpos_live.core.parameter_store import ParameterStore

HOSTS = ("127.0.0.1", "192.168.1.20")


def osc_doors() -> list[Door]:
    """The parser, and a router with a store of its own, a clock and two senders."""
    return [Door("osc", _packets(), osc_packets.read), _router()]


def _router() -> Door:
    store = ParameterStore()
    clock = itertools.count()

    def answer(host: str, address: str, value: float | int | str) -> None:
        encode(address, value)

    def subscribe(host: str, port: int, now: float, on: bool) -> None:
        assert 0 < port < 2**16

    router = Router(store, answer, subscribe)

    def enter(data: bytes) -> None:
        now = next(clock)
        router.apply([Datagram(data, HOSTS[now % len(HOSTS)], 0.01 * now, 5000)])

    messages = [_message(address, target) for address, target in ADDRESSES.items()]
    asked = [_padded(b"/tpos/finish/*/?") + _padded(b","), _padded(b"/tpos/[a-m]*/{zoom,pan_x}") + _message_end(b"f")]
    return Door("osc router", [*messages, *asked, _bundle(*messages[:3])], enter)


def _message(address: str, target: Parameter | Command) -> bytes:
    if isinstance(target, Command):
        tags = b"".join(tag.encode() for tag in target.arguments if tag in "sfi")
    else:
        tags = b"s" if target.kind in ("text", "choice") else b"f"
    return _padded(address.encode()) + _message_end(tags)


def _message_end(tags: bytes) -> bytes:
    values = {b"s"[0]: _padded(b"sea"), b"f"[0]: struct.pack(">f", 0.5), b"i"[0]: struct.pack(">i", 1)}
    return _padded(b"," + tags) + b"".join(values[tag] for tag in tags)


def _packets() -> list[bytes]:
    level = _padded(b"/tpos/out/level") + _message_end(b"f")
    prompt = _padded(b"/tpos/prompt") + _message_end(b"sif")
    return [level, prompt, _bundle(level), _bundle(_bundle(level))]


def _bundle(*elements: bytes) -> bytes:
    return b"#bundle\0" + bytes(8) + b"".join(struct.pack(">i", len(each)) + each for each in elements)


def _padded(text: bytes) -> bytes:
    return text + b"\0" * (4 - len(text) % 4)
