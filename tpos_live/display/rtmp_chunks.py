"""RTMP's chunk stream (Adobe's RTMP specification 1.0, section 5.3): messages to bytes and back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

SET_CHUNK_SIZE, USER_CONTROL, AUDIO, VIDEO, DATA, COMMAND = 1, 4, 8, 9, 18, 20
"""Types of messages."""
_LONG = 0xFFFFFF
"""From this time in milliseconds on (4.7 hours) a header has another field for it."""
_LARGEST = 1 << 20
"""Bytes of a message that is received: a publisher gets short ones only."""
_MOST = 16
"""Channels of a server; those that we know use four."""


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
    payload: bytearray = field(default_factory=bytearray)


class ChunkReader:
    """Received bytes to messages. State only; keeps at most _MOST messages of _LARGEST bytes."""

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
        """Number of the channel of the chunk at a place, and the bytes up to its header. The chunk may be cut off."""
        number = self._data[at] & 0x3F
        if number > 1:
            return number, 1
        size = 2 + number
        return 64 + int.from_bytes(self._data[at + 1 : at + size], "little"), size

    def _read_chunk(self, at: int) -> int | None:
        """Take the chunk at a place into its channel: the place of the next one, None if it is not complete."""
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
        taken = len(state.payload) if form == 3 else 0  # a header begins a message, whatever came of the one before
        if form < 3:
            extended = data[at : at + 3] == b"\xff\xff\xff"
        if form < 2:
            length, kind = int.from_bytes(data[at + 3 : at + 6], "big"), data[at + 6]
        if length > _LARGEST or (channel not in self._channels and len(self._channels) >= _MOST):
            raise ValueError("the server sends what is not RTMP")
        at += header + 4 * extended
        end = at + min(self._size, length - taken)
        if len(data) < end:
            return None
        state.length, state.kind, state.extended = length, kind, extended
        del state.payload[taken:]
        state.payload += data[at:end]
        self._channels[channel] = state
        return end
