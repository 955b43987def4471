"""Encodes and decodes AMF0 (Adobe's Action Message Format 0): the values in RTMP's commands, as `rtmp.py` needs
them."""

from __future__ import annotations

import struct
from typing import Any

_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _UNDEFINED, _ARRAY, _END = 0, 1, 2, 3, 5, 6, 8, 9
_LIST, _DATE, _LONG_STRING = 10, 11, 12
_DEEPEST = 16
"""Largest nesting depth that is decoded."""


def encode(*values: str | float | bool | dict[str, Any] | None) -> bytes:
    """The values as AMF0, concatenated. A text has at most 65535 bytes."""
    return b"".join(map(_encoded, values))


def decode(data: bytes) -> list[Any]:
    """The values in `data`, up to the first of an unknown kind. Raises ValueError for data that is cut off, or
    nested more than 16 deep."""
    values: list[Any] = []
    at = 0
    try:
        while at < len(data):
            value, at = _decoded(data, at)
            values.append(value)
    except NotImplementedError:
        pass
    except (struct.error, IndexError) as error:
        raise ValueError("a message of the server is cut off") from error
    return values


def _encoded(value: str | float | bool | dict[str, Any] | None) -> bytes:
    if value is None:
        return bytes([_NULL])
    if isinstance(value, bool):
        return bytes([_BOOLEAN, value])
    if isinstance(value, str):
        return bytes([_STRING]) + _text(value)
    if isinstance(value, dict):
        items = b"".join(_text(key) + _encoded(item) for key, item in value.items())
        return bytes([_OBJECT]) + items + bytes([0, 0, _END])
    return struct.pack(">Bd", _NUMBER, value)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _decoded(data: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """The value at offset `at`, and the offset of the next value. depth: number of objects around it."""
    if depth > _DEEPEST:
        raise ValueError("a message of the server is nested too deep")
    kind, at = data[at], at + 1
    if kind == _NUMBER:
        return struct.unpack_from(">d", data, at)[0], at + 8
    if kind == _BOOLEAN:
        return bool(data[at]), at + 1
    if kind == _STRING:
        return _decoded_text(data, at)
    if kind in (_NULL, _UNDEFINED):
        return None, at
    if kind in (_OBJECT, _ARRAY):
        return _decoded_items(data, at + 4 * (kind == _ARRAY), depth + 1)
    if kind == _LIST:
        return _decoded_list(data, at, depth + 1)
    if kind == _DATE:  # milliseconds, and a time zone that is not used
        return struct.unpack_from(">dh", data, at)[0], at + 10
    if kind == _LONG_STRING:
        return _decoded_text(data, at, ">I")
    raise NotImplementedError


def _decoded_text(data: bytes, at: int, size: str = ">H") -> tuple[str, int]:
    (length,) = struct.unpack_from(size, data, at)
    at += struct.calcsize(size)
    end = at + length
    if end > len(data):
        raise IndexError
    return data[at:end].decode(errors="replace"), end


def _decoded_list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    (length,), at = struct.unpack_from(">I", data, at), at + 4
    values: list[Any] = []
    while len(values) < length:  # nothing is allocated by `length`, which may be false
        value, at = _decoded(data, at, depth)
        values.append(value)
    return values, at


def _decoded_items(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    items: dict[str, Any] = {}
    while True:
        key, at = _decoded_text(data, at)
        if not key and data[at] == _END:
            return items, at + 1
        items[key], at = _decoded(data, at, depth)
