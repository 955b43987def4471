"""UDP datagrams to OSC messages: no datagram can stall, recurse without limit or raise.

python-osc parses the messages. Bundles are parsed here, for four reasons measured with python-osc 1.10.2: an element of
negative size makes its parser loop forever, one broken message loses the whole bundle, messages are reordered by the
time tags of nested bundles, and large bundles take quadratic time. Time tags are ignored: control means "now" (OSC 1.0
specification, "OSC Bundles").
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from pythonosc.osc_message import OscMessage

_BUNDLE = b"#bundle\0"
_HEADER = len(_BUNDLE) + 8
_MAX_DEPTH = 8
_READABLE = frozenset(b"ifhdsTFNISc[]")
_ALIKE = bytes.maketrans(b"ISc", b"Tsi")
"""Types that python-osc does not read (and logs a warning for) have the layout of types that it reads: impulse, symbol
and character are encoded like true, string and int."""


class Message(NamedTuple):
    """An OSC message: address and arguments, with arrays flattened."""

    address: str
    args: tuple[Any, ...]


class Problem(NamedTuple):
    """What could not be parsed. address is "" where unknown."""

    address: str
    text: str


def read(datagram: bytes) -> tuple[list[Message], list[Problem]]:
    """All messages of a datagram in their order, and what could not be parsed. Never raises."""
    messages: list[Message] = []
    problems: list[Problem] = []
    _read(datagram, 0, messages, problems)
    return messages, problems


def _read(element: bytes, depth: int, messages: list[Message], problems: list[Problem]) -> None:
    if element.startswith(b"/"):
        _read_message(element, messages, problems)
    elif not element.startswith(_BUNDLE):
        problems.append(Problem("", "a packet that is not OSC"))
    elif depth == _MAX_DEPTH:
        problems.append(Problem("", f"bundles nested more than {_MAX_DEPTH} deep"))
    else:
        at = _HEADER
        while at + 4 <= len(element):
            (size,) = struct.unpack_from(">i", element, at)
            at += 4
            if not 0 < size <= len(element) - at:
                problems.append(Problem("", "a bundle that is cut short"))
                return
            _read(element[at : at + size], depth + 1, messages, problems)
            at += size
        if at != len(element):
            problems.append(Problem("", "a bundle that is cut short"))


def _read_message(element: bytes, messages: list[Message], problems: list[Problem]) -> None:
    end = element.find(b"\0")
    address = element[: end if end >= 0 else len(element)].decode("utf-8", "replace")
    start = (end + 4) & ~3
    stop = element.find(b"\0", start)
    tags = element[start + 1 : stop] if stop > 0 else b""
    unreadable = sorted(set(tags) - _READABLE)
    if unreadable:
        kinds = ", ".join(repr(chr(tag)) for tag in unreadable[:4])
        problems.append(Problem(address, f"arguments of type {kinds} are not understood"))
        return
    if any(tag in b"ISc" for tag in tags):
        element = element[: start + 1] + tags.translate(_ALIKE) + element[stop:]
    try:
        args = tuple(_flat(OscMessage(element).params, 0))
    except Exception as error:  # a parser fed from the network: whatever it raises is the packet's fault
        why = "text that is not UTF-8" if isinstance(error, UnicodeDecodeError) else "a message that is cut short"
        problems.append(Problem(address, why))
    else:
        messages.append(Message(address, args))


def _flat(values: list[Any], depth: int) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        if not isinstance(value, list):
            flat.append(value)
        elif depth < _MAX_DEPTH:
            flat += _flat(value, depth + 1)
    return flat
