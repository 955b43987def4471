"""Parses UDP datagrams to OSC messages. No datagram can stall the parser, recurse without limit or raise.

python-osc parses the messages. Bundles are parsed here, for four reasons measured with python-osc 1.10.2: an element of
negative size makes its parser loop forever, one broken message loses the whole bundle, messages are reordered by the
time tags of nested bundles, and large bundles take quadratic time. Time tags are ignored: control means "now" (OSC 1.0
specification, "OSC Bundles").
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from pythonosc.osc_message import OscMessage

BUNDLE = b"#bundle\0"
_HEADER = len(BUNDLE) + 8
_MAX_DEPTH = 8
_READABLE = frozenset(b"ifhdsTFNISc[]")
_ALIKE = bytes.maketrans(b"ISc", b"Tsi")
"""Replaces types that python-osc cannot read (it logs a warning) by types of the same layout: impulse, symbol and
character by true, string and int."""


class Message(NamedTuple):
    """An OSC message: address and arguments, with arrays flattened."""

    address: str
    args: tuple[Any, ...]


class Problem(NamedTuple):
    """An error of a packet, as text. address: "" if unknown."""

    address: str
    text: str


def read(datagram: bytes, depth: int = 0) -> tuple[list[Message], list[Problem]]:
    """All messages of a datagram in order, and its errors. Never raises. depth: number of bundles around it."""
    if datagram.startswith(b"/"):
        parsed = _message(datagram)
        return ([parsed], []) if isinstance(parsed, Message) else ([], [parsed])
    if not datagram.startswith(BUNDLE):
        return [], [Problem("", "a packet that is not OSC")]
    if depth == _MAX_DEPTH:
        return [], [Problem("", f"bundles nested more than {_MAX_DEPTH} deep")]
    messages: list[Message] = []
    problems: list[Problem] = []
    at = _HEADER
    while at + 4 <= len(datagram):
        (size,) = struct.unpack_from(">i", datagram, at)
        if not 0 < size <= len(datagram) - at - 4:
            break
        inner = read(datagram[at + 4 : at + 4 + size], depth + 1)
        messages += inner[0]
        problems += inner[1]
        at += 4 + size
    if at != len(datagram):
        problems.append(Problem("", "a bundle that is cut short"))
    return messages, problems


def _message(element: bytes) -> Message | Problem:
    end = element.find(b"\0")
    address = element[: end if end >= 0 else len(element)].decode("utf-8", "replace")
    start = (end + 4) & ~3
    stop = element.find(b"\0", start)
    tags = element[start + 1 : stop] if stop > 0 else b""
    unreadable = sorted(set(tags) - _READABLE)
    if unreadable:
        kinds = ", ".join(repr(chr(tag)) for tag in unreadable[:4])
        return Problem(address, f"arguments of type {kinds} are not understood")
    if any(tag in b"ISc" for tag in tags):
        element = element[: start + 1] + tags.translate(_ALIKE) + element[stop:]
    try:
        return Message(address, tuple(_flat(OscMessage(element).params, 0)))
    except Exception as error:  # whatever the parser raises, the packet is invalid
        why = "text that is not UTF-8" if isinstance(error, UnicodeDecodeError) else "a message that is cut short"
        return Problem(address, why)


def _flat(values: list[Any], depth: int) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        if not isinstance(value, list):
            flat.append(value)
        elif depth < _MAX_DEPTH:
            flat += _flat(value, depth + 1)
    return flat
