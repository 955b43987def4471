"""RTMP's chunk stream (Adobe's RTMP specification 1.0, section 5.3): messages to bytes and back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

SET_CHUNK_SIZE, USER_CONTROL, AUDIO, VIDEO, DATA, COMMAND = 1, 4, 8, 9, 18, 20
"""Types of messages."""
_LONG = 0xFFFFFF
"""From this timestamp in milliseconds on (4.7 hours) a chunk has the extended timestamp field."""
_LARGEST = 1 << 20
"""Most bytes of a received message: servers send a publisher short messages only."""
_MOST = 16
"""Most channels (chunk streams) of a server; known servers use four."""


def to_chunks(kind: int, payload: bytes, *, time: int = 0, channel: int = 3, stream: int = 0, size: int = 128) -> bytes:
    """A message in chunks. kind: message type. time: milliseconds. channel: chunk stream, 3 to 63. stream: message
    stream. size: bytes of a chunk."""
    time &= 0xFFFFFFFF
    extended = struct.pack(">I", time) if time >= _LONG else b""
    header = min(time, _LONG).to_bytes(3, "big") + len(payload).to_bytes(3, "big") + bytes([kind])
    parts = [bytes([channel]), header, struct.pack("<I", stream), extended, payload[:size]]
    for at in range(size, len(payload), size):
        parts += [bytes([0xC0 | channel]), extended, payload[at : at + size]]
    return b"".join(parts)


@dataclass
class _Channel:
    """Header of the last message on a channel, and its payload so far."""

    length: int = 0
    kind: int = 0
    extended: bool = False
    payload: bytearray = field(default_factory=bytearray)


class ChunkReader:
    """Parses received bytes into messages. State only; keeps at most _MOST messages of _LARGEST bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._size = 128
        self._channels: dict[int, _Channel] = {}

    def messages(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(type, payload) of each message that is complete with `data`. Raises ValueError for one that is too long."""
        self._data += data
        at = 0
        try:
            while (end := self._read_chunk(at)) is not None:
                state, at = self._channels[self._channel(at)[0]], end
                if len(state.payload) >= state.length:
                    payload, state.payload = bytes(state.payload), bytearray()
                    if state.kind == SET_CHUNK_SIZE and len(payload) == 4:
                        self._size = max(int.from_bytes(payload, "big") & 0x7FFFFFFF, 1)
                    yield state.kind, payload
        finally:
            del self._data[:at]

    def _channel(self, at: int) -> tuple[int, int]:
        """Channel of the chunk at offset `at`, and the length of its basic header. The chunk may be incomplete."""
        number = self._data[at] & 0x3F
        if number > 1:
            return number, 1
        size = 2 + number
        return 64 + int.from_bytes(self._data[at + 1 : at + size], "little"), size

    def _read_chunk(self, at: int) -> int | None:
        """Add the chunk at offset `at` to its channel. Returns the next chunk's offset, None if it is incomplete."""
        data = self._data
        if at >= len(data):
            return None
        form, (channel, first) = data[at] >> 6, self._channel(at)
        at += first
        header = (11, 7, 3, 0)[form]
        if len(data) < at + header:
            return None
        state = self._channels.get(channel, _Channel())
        length, kind, extended = state.length, state.kind, state.extended
        taken = len(state.payload) if form == 3 else 0  # a header begins a new message, even in an incomplete one
        if form < 3:
            extended = data[at : at + 3] == b"\xff\xff\xff"
        if form < 2:
            length, kind = int.from_bytes(data[at + 3 : at + 6], "big"), data[at + 6]
        if length > _LARGEST or (channel not in self._channels and len(self._channels) >= _MOST):
            raise ValueError("the server sends data that is not RTMP")
        at += header + 4 * extended
        end = at + min(self._size, length - taken)
        if len(data) < end:
            return None
        state.length, state.kind, state.extended = length, kind, extended
        del state.payload[taken:]
        state.payload += data[at:end]
        self._channels[channel] = state
        return end
