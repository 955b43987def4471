"""RTMP's chunk stream (Adobe's RTMP specification 1.0, section 5.3): messages to bytes and back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SET_CHUNK_SIZE, USER_CONTROL, AUDIO, VIDEO, DATA, COMMAND = 1, 4, 8, 9, 18, 20
"""Types of messages."""
_LONG = 0xFFFFFF
"""From this time in milliseconds on (4.7 hours) a header has another field for it."""
_LARGEST = 1 << 20
"""Bytes of a message that is received: a publisher gets short ones only."""


def to_chunks(kind: int, payload: bytes, *, time: int = 0, channel: int = 3, stream: int = 0, size: int = 128) -> bytes:
    """A message in chunks. kind: of those above. time: in milliseconds. channel: 3 to 63. size: of a chunk."""
    time &= 0xFFFFFFFF
    extended = struct.pack(">I", time) if time >= _LONG else b""
    header = min(time, _LONG).to_bytes(3, "big") + len(payload).to_bytes(3, "big") + bytes([kind])
    parts = [bytes([channel]), header, struct.pack("<I", stream), extended, payload[:size]]
    for at in range(size, len(payload), size):
        parts += [bytes([0xC0 | channel]), extended, payload[at : at + size]]
    return b"".join(parts)


@dataclass
class _Channel:
    """Header of the last message on a channel, and what came of its payload."""

    length: int = 0
    kind: int = 0
    extended: bool = False
    payload: bytes = b""


class ChunkReader:
    """Received bytes to messages. State only."""

    def __init__(self) -> None:
        self._data = b""
        self._size = 128
        self._channels: dict[int, _Channel] = {}

    def messages(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(type, payload) of each message that is complete with `data`. Raises ValueError for one that is too long."""
        self._data += data
        while (end := self._read_chunk()) is not None:
            channel, self._data = self._data[0] & 0x3F, self._data[end:]
            state = self._channels[channel]
            if len(state.payload) >= state.length:
                payload, state.payload = state.payload, b""
                if state.kind == SET_CHUNK_SIZE and len(payload) == 4:
                    self._size = max(int.from_bytes(payload, "big") & 0x7FFFFFFF, 1)
                yield state.kind, payload

    def _read_chunk(self) -> int | None:
        """Take the chunk at the front into its channel: its length in bytes, None if it is not complete."""
        data = self._data
        if not data:
            return None
        form, channel = data[0] >> 6, data[0] & 0x3F
        at = 1 + {0: 1, 1: 2}.get(channel, 0)
        field = (11, 7, 3, 0)[form]
        if len(data) < at + field:
            return None
        state = self._channels.setdefault(channel, _Channel())
        length, kind, extended = state.length, state.kind, state.extended
        if form < 3:
            extended = data[at : at + 3] == b"\xff\xff\xff"
        if form < 2:
            length, kind = int.from_bytes(data[at + 3 : at + 6], "big"), data[at + 6]
        if length > _LARGEST:
            raise ValueError("the server sends what is not RTMP")
        at += field + 4 * extended
        end = at + min(self._size, length - len(state.payload))
        if len(data) < end:
            return None
        state.length, state.kind, state.extended = length, kind, extended
        state.payload += data[at:end]
        return end
