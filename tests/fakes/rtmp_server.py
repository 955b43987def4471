"""An RTMP server of one connection, on a thread: good, refusing, silent, or one that takes no more after a while."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Self

from tpos_live.display import amf
from tpos_live.display.rtmp_chunks import COMMAND, DATA, USER_CONTROL, ChunkReader, to_chunks


class RtmpServer:
    """kind: "good", "refusing" (the key), "silent" (after accepting), "other" (another protocol), "stalling" (when the
    stream begins), "babbling" (anything but an answer, for ever), "ending" (refuses when the stream has begun, and
    closes). number: of the stream, as it answers. A context manager."""

    def __init__(self, kind: str, tls: ssl.SSLContext | None = None, number: object = 1.0) -> None:
        self.kind, self._tls, self._number = kind, tls, number
        self.received: list[tuple[int, bytes]] = []
        """(type, payload) of each message."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    @property
    def url(self) -> str:
        scheme = "rtmps" if self._tls is not None else "rtmp"
        return f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}/live/a_key"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self._accept() as client:
            client.settimeout(0.05)
            if self.kind == "silent":
                self._ended.wait(10)
            elif self.kind == "other":
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                self._ended.wait(10)
            else:
                self._speak(client)

    def _accept(self) -> socket.socket:
        client = self._socket.accept()[0]
        return client if self._tls is None else self._tls.wrap_socket(client, server_side=True)

    def _speak(self, client: socket.socket) -> None:
        reader, hello = ChunkReader(), b""
        while len(hello) < 1537:
            hello += client.recv(1537 - len(hello))
        client.sendall(b"\3" + bytes(1536) + hello[1:])
        rest = 1536
        while not self._ended.is_set():
            try:
                data = client.recv(4096)
            except TimeoutError:
                continue
            if not data:
                return
            data, rest = data[rest:], max(rest - len(data), 0)
            for kind, payload in reader.messages(data):
                self.received.append((kind, payload))
                if kind == COMMAND:
                    self._answer(client, amf.decode(payload))
                if self.kind == "stalling" and kind not in (COMMAND, 1):
                    self._ended.wait(10)
                if self.kind == "ending" and kind == DATA:
                    client.sendall(
                        to_chunks(COMMAND, _status("error", "Ended", "\33[2Jlive/a_key?a=b is\r\n too long"))
                    )
                    return

    def _babble(self, client: socket.socket) -> None:
        while not self._ended.wait(0.01):
            client.sendall(to_chunks(COMMAND, amf.encode("onBWDone", 0.0, None)))

    def _answer(self, client: socket.socket, command: list) -> None:
        replies: list[bytes] = []
        if self.kind == "babbling":
            self._babble(client)
        elif command[0] == "connect":
            replies = [amf.encode("_result", command[1], {"fmsVer": "x" * 300}, {"code": "ok"})]
        elif command[0] == "createStream":
            replies = [amf.encode("_result", command[1], None, self._number)]
        elif command[0] == "publish":
            level, code = ("error", "BadName") if self.kind == "refusing" else ("status", "Start")
            replies = [_status(level, code, "this key is not known")]
            client.sendall(to_chunks(USER_CONTROL, b"\0\6abcd", channel=2))
        for reply in replies:
            client.sendall(to_chunks(COMMAND, reply))


def _status(level: str, code: str, why: str) -> bytes:
    about = {"level": level, "code": f"NetStream.Publish.{code}", "description": why}
    return amf.encode("onStatus", 0.0, None, about)
