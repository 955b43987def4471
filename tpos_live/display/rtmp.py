"""Publishes a stream to an RTMP server (Adobe's RTMP specification 1.0; RTMPS is the same over TLS).

FFmpeg can do that too, but PyAV holds the GIL while FFmpeg connects: a server that accepts and does not answer would
freeze the show for minutes.
"""

from __future__ import annotations

import math
import os
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from tpos_live.display import amf
from tpos_live.display.rtmp_chunks import (
    AUDIO,
    COMMAND,
    DATA,
    SET_CHUNK_SIZE,
    USER_CONTROL,
    VIDEO,
    ChunkReader,
    to_chunks,
)

PORTS = {"rtmp": 1935, "rtmps": 443}
CONNECTING = 2.0
"""Seconds until a server that does not answer counts as gone."""
STALLED = 3.0
"""Seconds for which the server may take no data, or not answer a command."""
OPENING = 8.0
"""Seconds within which a server must accept the stream, whatever else it sends."""
BUFFER = 512 * 1024
"""Send buffer of the socket, bytes: 0.7 s at 6 Mbit/s. With a larger one a slow network would add more latency."""
CHUNK = 4096
"""Bytes of a sent chunk."""
_HANDSHAKE = 1536
_HEADER, _TAG = 13, 11
"""Bytes before the first tag of FLV, and of a tag's header."""
_COMMANDS, _MEDIA = 3, 4
"""Channels (chunk streams)."""
_NOT_RTMP = "the server does not speak RTMP"
_LONGEST = 120
"""Most characters of a server's reason that are shown."""


class RtmpConnection:
    """One connection. To connect takes at most CONNECTING and OPENING seconds; a later call waits at most STALLED
    seconds. All errors are OSError or ValueError, whatever the server sends; none contains the stream's key."""

    def __init__(self, url: str) -> None:
        """Connect and begin to publish. url: rtmp://HOST[:PORT]/APP/KEY, or rtmps://."""
        parts = urlsplit(url)
        app, _, key = parts.path.lstrip("/").rpartition("/")
        if parts.query:
            key += f"?{parts.query}"
        self._reader, self._chunk, self._stream, self._until = ChunkReader(), 128, 0, math.inf
        self._data, self._begun = b"", False
        self._secrets = [secret for secret in (key, key.partition("?")[0]) if secret]
        self._commands: list[list[Any]] = []
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._socket: socket.socket = socket.create_connection((host, port), CONNECTING)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if parts.scheme == "rtmps":
                self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=host)
            self._socket.settimeout(STALLED)
            self._until = time.monotonic() + OPENING
            self._shake_hands()
            shown = f"[{host}]" if ":" in host else host
            self._publish(app, key, f"{parts.scheme}://{shown}:{port}/{app}")
            self._until = math.inf
        except BaseException:
            self._socket.close()
            raise

    def write(self, data: bytes) -> None:
        """Send FLV data, in pieces of any length."""
        self._check_server()
        try:
            self._write(data)
        except ConnectionError:
            self._check_server()  # raises the server's reason, if it sent one before it closed
            raise

    def _write(self, data: bytes) -> None:
        self._data += data
        if not self._begun:
            if len(self._data) < _HEADER:
                return
            self._data, self._begun = self._data[_HEADER:], True
        at = 0
        while len(self._data) >= at + _TAG:
            kind, length = self._data[at], int.from_bytes(self._data[at + 1 : at + 4], "big")
            end = at + _TAG + length
            if len(self._data) < end + 4:
                break
            time = int.from_bytes(self._data[at + 4 : at + 7], "big") | self._data[at + 7] << 24
            self._send_tag(kind, self._data[at + _TAG : end], time)
            at = end + 4  # the length of the tag follows it
        self._data = self._data[at:]

    def close(self) -> None:
        """Tell the server that the stream ends, if it still reads, and close. Never raises."""
        try:
            self._socket.settimeout(0.2)
            self._command("deleteStream", 0, None, float(self._stream))
        except OSError:
            pass
        self._socket.close()

    def _send_tag(self, kind: int, payload: bytes, time: int) -> None:
        if kind == DATA:
            payload = amf.encode("@setDataFrame") + payload
        if kind in (AUDIO, VIDEO, DATA):
            self._send(kind, payload, time=time, channel=_MEDIA, stream=self._stream)

    def _shake_hands(self) -> None:
        """Exchange 1536 bytes of any content, each side's returned by the other (section 5.2)."""
        self._socket.sendall(b"\x03" + bytes(8) + os.urandom(_HANDSHAKE - 8))
        if self._receive_exactly(1) != b"\x03":
            raise ValueError(_NOT_RTMP)
        self._socket.sendall(self._receive_exactly(_HANDSHAKE))
        self._receive_exactly(_HANDSHAKE)

    def _publish(self, app: str, key: str, url: str) -> None:
        self._send(SET_CHUNK_SIZE, CHUNK.to_bytes(4, "big"))
        self._chunk = CHUNK
        about = {"app": app, "type": "nonprivate", "flashVer": "FMLE/3.0 (compatible; tpos-live)", "tcUrl": url}
        self._command("connect", 1, about)
        self._answer(1)
        self._command("releaseStream", 2, None, key)
        self._command("FCPublish", 3, None, key)
        self._command("createStream", 4, None)
        number = self._answer(4)[-1]
        if not isinstance(number, float) or not 0 <= number < 1 << 32:
            raise ValueError(_NOT_RTMP)
        self._stream = int(number)
        self._command("publish", 5, None, key, "live", stream=self._stream)
        while self._status() != "NetStream.Publish.Start":
            pass

    def _answer(self, number: int) -> list[Any]:
        """The values of the answer to a command."""
        while True:
            values = self._next_command()
            if values[:2] == ["_result", float(number)] and len(values) > 2:
                return values
            if values[:2] == ["_error", float(number)]:
                raise ValueError(self._refusal(values))

    def _status(self) -> str:
        """The code of the next status."""
        values = self._next_command()
        if values[0] != "onStatus" or not isinstance(values[-1], dict):
            return ""
        if values[-1].get("level") == "error":
            raise ValueError(self._refusal(values))
        return str(values[-1].get("code"))

    def _next_command(self) -> list[Any]:
        while not self._commands:
            self._take(self._receive())
        return self._commands.pop(0)

    def _check_server(self) -> None:
        """Handle what the server has sent, without waiting; one `recv` per call."""
        self._socket.settimeout(0.0)  # not `select`: a TLS record may hold no data of the stream
        try:
            data = self._receive()
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        finally:
            self._socket.settimeout(STALLED)
        self._take(data)
        while self._commands:
            self._status()

    def _take(self, data: bytes) -> None:
        """Parse received bytes: keep commands, answer pings."""
        for kind, payload in self._reader.messages(data):
            if kind == COMMAND and (values := amf.decode(payload)):
                self._commands.append(values)
            elif kind == USER_CONTROL and payload[:2] == b"\0\6":  # a ping, to be answered with its time
                self._send(USER_CONTROL, b"\0\7" + payload[2:6], channel=2)

    def _command(self, name: str, number: int, *values: Any, stream: int = 0) -> None:
        self._send(COMMAND, amf.encode(name, float(number), *values), stream=stream)

    def _send(self, kind: int, payload: bytes, *, time: int = 0, channel: int = _COMMANDS, stream: int = 0) -> None:
        self._socket.sendall(to_chunks(kind, payload, time=time, channel=channel, stream=stream, size=self._chunk))
        if kind == SET_CHUNK_SIZE:
            self._chunk = CHUNK

    def _receive(self, most: int = 65536) -> bytes:
        if time.monotonic() > self._until:
            raise TimeoutError("timed out")
        data = self._socket.recv(most)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def _receive_exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            data += self._receive(length - len(data))
        return data

    def _refusal(self, values: list[Any]) -> str:
        """The server's reason as one short line, without the stream's key, which some servers name."""
        about = values[-1] if isinstance(values[-1], dict) else {}
        why = str(about.get("description") or about.get("code") or "without a reason")
        for secret in self._secrets:
            why = why.replace(secret, "***")
        return "the server refuses the stream: " + "".join(filter(str.isprintable, why))[:_LONGEST]
