"""Writes frames and audio to a stream: RTMP, or MPEG transport stream over UDP."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from tpos_live.core.errors import reason
from tpos_live.core.output_names import masked
from tpos_live.display.av_writer import LIVE_OPTIONS, AvWriter
from tpos_live.display.errors import DisplayError
from tpos_live.display.rtmp import RtmpConnection

DATAGRAM = 7 * 188
"""Bytes of a datagram: as many whole packets of the transport stream as Ethernet carries."""
LIVE = {"ultrafast": f"{LIVE_OPTIONS}:cabac=0:8x8dct=0:weightp=0:deblock=1,0,0"}
"""x264 options by preset. A stream never changes its preset, so its headers need not match another one: without
CABAC and 8x8 transforms a frame of 640x360 with Ember's grain takes 0.6 ms less, a receiver decodes it in 0.9 ms in
place of 1.4, the error is the same, and 4 to 7 % more bytes are sent. Weights for fades take 0.1 ms and save nothing,
not even in a fade to black."""
FLV = {"flvflags": "no_duration_filesize", "flush_packets": "1"}


class Connection(Protocol):
    """A destination for the bytes of a container. Raises OSError or ValueError."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class UdpConnection:
    """Datagrams to a host or a multicast group. UDP has no answers, so a missing receiver is no error."""

    def __init__(self, url: str) -> None:
        """url: udp://HOST:PORT."""
        parts = urlsplit(url)
        family, kind, protocol, _, address = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)[0]
        self._socket, self._address = socket.socket(family, kind, protocol), address
        self._data = b""

    def write(self, data: bytes) -> None:
        self._data += data
        whole = len(self._data) - len(self._data) % DATAGRAM
        for at in range(0, whole, DATAGRAM):
            self._socket.sendto(self._data[at : at + DATAGRAM], self._address)
        self._data = self._data[whole:]

    def close(self) -> None:
        self._socket.close()


def connect(url: str) -> Connection:
    """A connection to a checked address (`parse_output`). Raises OSError or ValueError."""
    return UdpConnection(url) if urlsplit(url).scheme == "udp" else RtmpConnection(url)


class StreamWriter(AvWriter):
    """An AvWriter to an address. Entering connects, which takes up to 10 s with RTMP (see `rtmp.py`)."""

    live_options = LIVE

    def __init__(self, url: str, size: tuple[int, int], fps: float, **options: Any) -> None:
        """url: see `parse_output`. Options: see `AvWriter`."""
        super().__init__(size, fps, **options)
        self.connected = False
        self._url = url
        self._sink: _Sink | None = None

    @property
    def target(self) -> str:
        return masked(self._url)

    def __enter__(self) -> Self:
        """Connect. Raises DisplayError."""
        super().__enter__()
        with self._display_errors():
            self._sink = _Sink(connect(self._url))
        self.connected = True
        return self

    def _open_container(self) -> Any:
        assert self._sink is not None
        udp = urlsplit(self._url).scheme == "udp"
        kind, options = ("mpegts", {"flush_packets": "1"}) if udp else ("flv", FLV)
        return self._av.open(self._sink, "w", format=kind, options=options)

    def _failure(self, why: str) -> DisplayError:
        if self._sink is not None and self._sink.error is not None:
            why = reason(self._sink.error)
        return DisplayError("the server does not answer" if why.endswith("timed out") else why)

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self.connected = False
        with contextlib.suppress(Exception):
            if kind is None and self._container is not None:
                self._flush()
        with contextlib.suppress(Exception):
            if self._container is not None:
                self._container.close()
        if self._sink is not None:
            self._sink.connection.close()


class _Sink:
    """A file for the muxer. Keeps the connection's first error, because the muxer raises its own; then sends
    nothing."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.error: OSError | ValueError | None = None

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        try:
            self.connection.write(bytes(data))
        except (OSError, ValueError) as error:
            self.error = error
            raise
        return len(data)
