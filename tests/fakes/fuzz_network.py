"""Doors of the control page and of OSCQuery: bytes as a server receives them, without a socket."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.web import oscquery, requests
from tpos_live.web.access import Access
from tpos_live.web.answers import Answers
from tpos_live.web.control_page import LARGEST_MESSAGE

HOST = b"Host: 127.0.0.1:9080\r\n"
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@dataclass(frozen=True)
class Door:
    """enter: takes bytes; an exception or a warning with a traceback is a fault."""

    name: str
    corpus: Sequence[bytes]
    enter: Callable[[bytes], object]


def network_doors() -> list[Door]:
    """The page and OSCQuery as one server that has no token, and the messages of both."""
    store = ParameterStore()
    answers = Answers(
        Access("127.0.0.1", ""),
        lambda name: name.encode() or None,
        lambda *asked: oscquery.answer(*asked, store.snapshot()),
    )

    def server(data: bytes) -> None:
        protocol = ServerProtocol(max_size=LARGEST_MESSAGE)
        head, end, rest = data.partition(b"\r\n\r\n")
        for part in (head + end, rest):  # a browser waits for the answer before its first message
            protocol.receive_data(part)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    response = answers.process_request(_Connection(), event)  # type: ignore[arg-type]
                    protocol.send_response(response if response is not None else protocol.accept(event))
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    page(bytes(event.data))
        protocol.data_to_send()

    def page(data: bytes) -> None:
        try:
            requests.carry_out(requests.read(data.decode("utf-8", "replace")), store)
        except requests.RequestError as error:
            assert "\n" not in str(error)

    def listen(data: bytes) -> None:
        try:
            oscquery.listened(data.decode("utf-8", "replace"))
        except oscquery.QueryError as error:
            assert "\n" not in str(error)

    return [
        Door("http", _requests(), server),
        Door("page", _messages(), page),
        Door("oscquery", [b'{"COMMAND": "LISTEN", "DATA": "/tpos/finish/bloom"}'], listen),
    ]


class _Connection:
    remote_address = ("192.168.1.20", 5000)


def _requests() -> list[bytes]:
    asked = [b"/", b"/tpos/finish?VALUE", b"/thumbnail?look=deep", b"/index.html?token=%C3%A4", b"/page.js"]
    headers = HOST + b"Accept: text/html\r\nOrigin: http://127.0.0.1:9080\r\n"
    plain = [b"GET %s HTTP/1.1\r\n%s\r\n" % (path, headers) for path in asked]
    opened = b"GET /socket HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\n"
    return [*plain, opened, *(opened + _frame(message) for message in _messages())]


def _messages() -> list[bytes]:
    messages = [{"set": {"prompt": "sea", "finish.bloom": 1.5}}, {"fire": ["out.panic"]}, {"key": "b", "shift": True}]
    return [json.dumps(message).encode() for message in [*messages, {"preview": True, "shown": 3}]]


def _frame(payload: bytes) -> bytes:
    """A text frame of a browser, with a mask of zeros."""
    return struct.pack("!BB", 0x81, 0x80 | len(payload)) + bytes(4) + payload
