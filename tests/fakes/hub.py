"""A hub on this machine: the three requests that fetching an engine makes, over a real socket."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """repos: folder of each repository. Failures are injected by remote path.

    answer: status and body that every request gets, once it is set. cut: bytes after which the connection is dropped,
    once. altered: files whose content is flipped on the way.
    """

    repos: dict[str, Path]
    url: str = ""
    answer: tuple[int, bytes] | None = None
    gated: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    altered: set[str] = field(default_factory=set)
    sent: dict[str, int] = field(default_factory=dict)
    """Bytes of content sent, by remote path."""
    ranges: list[str] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    """Set by the first request."""
    open: threading.Event = field(default_factory=threading.Event)
    """Requests wait for it."""


def _sums(path: Path) -> tuple[str, str]:
    content = path.read_bytes()
    return (
        hashlib.sha256(content).hexdigest(),
        hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest(),
    )


@contextmanager
def fake_hub(repos: dict[str, Path]) -> Iterator[FakeHub]:
    """Serve repositories until left."""
    hub = FakeHub(repos)
    hub.open.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            hub.asked.set()
            hub.open.wait(60)
            if hub.answer is not None:
                return self._answer(*hub.answer, {"Content-Type": "text/html"})
            path = urlsplit(self.path).path.strip("/")
            if path.startswith("api/models/"):
                return self._list("/".join(path.split("/")[2:4]))
            owner, name, _, _, *rest = [*path.split("/"), "", "", ""]
            return self._file(f"{owner}/{name}", "/".join(filter(None, rest)))

        def _list(self, repo: str) -> None:
            if repo in hub.gated:
                return self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            if repo not in hub.repos:
                return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            siblings = []
            for path in sorted(p for p in hub.repos[repo].rglob("*") if p.is_file()):
                sha256, blob = _sums(path)
                entry: dict[str, object] = {
                    "rfilename": path.relative_to(hub.repos[repo]).as_posix(),
                    "size": path.stat().st_size,
                    "blobId": blob,
                }
                if path.suffix in (".safetensors", ".bin"):
                    entry["lfs"] = {"sha256": sha256, "size": path.stat().st_size, "pointerSize": 130}
                siblings.append(entry)
            body = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            self._answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

        def _file(self, repo: str, remote: str) -> None:
            path = hub.repos.get(repo, Path("/nowhere")) / remote
            if not path.is_file():
                return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            sha256, blob = _sums(path)
            content = path.read_bytes()
            etag = sha256 if path.suffix == ".safetensors" else blob
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if remote in hub.altered:
                content = bytes(byte ^ 255 for byte in content)
            code, start = 200, 0
            if (wanted := self.headers.get("Range", "")).startswith("bytes="):
                start = int(wanted[6:].split("-")[0])
                if self.command == "GET":
                    hub.ranges.append(f"{remote} from {start}")
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                code = 206
            body = content[start:]
            if self.command == "GET" and remote in hub.cut:
                keep = hub.cut.pop(remote)
                hub.sent[remote] = hub.sent.get(remote, 0) + keep
                self._answer(code, body[:keep], headers, length=len(body))
                self.close_connection = True
                return None
            if self.command == "GET":
                hub.sent[remote] = hub.sent.get(remote, 0) + len(body)
            return self._answer(code, body, headers)

        def _answer(self, code: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
