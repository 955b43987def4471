"""Answers to plain HTTP requests: the page's files, the looks' thumbnails, and OSCQuery."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tpos_live.web.access import NO_TOKEN, Access
from tpos_live.web.oscquery import QueryError

SOCKET = "/socket"
"""Path of the page's WebSocket."""
THUMBNAIL = "/thumbnail"
ONLY_GET = "this server takes GET without a body"
_SAFETY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "Cache-Control": "no-store",
}
FOLDER = Path(__file__).with_name("page")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Answers:
    """thumbnail: JPEG of the look of that name, None where there is none. tree: OSCQuery's answer to a path and a
    query, None where there is none; raises QueryError. open_tree: returns whether an IP address needs no
    token for OSCQuery."""

    access: Access
    thumbnail: Callable[[str], bytes | None] = lambda name: None
    tree: Callable[[str, str], dict[str, Any] | None] = lambda path, query: None
    open_tree: Callable[[str], bool] = lambda host: False

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """`answer` for the server of the connection."""
        if getattr(request, "method", "GET") != "GET":  # before websockets 16 the library itself takes GET alone
            return text(HTTPStatus.METHOD_NOT_ALLOWED, ONLY_GET, Allow="GET")
        try:
            return self.answer(request, str((connection.remote_address or ("",))[0]))
        except LookupError:  # a header that must be there once comes twice
            return text(HTTPStatus.BAD_REQUEST, "a header comes twice")

    def answer(self, request: Request, host: str = "") -> Response | None:
        """The response to a request, None for one that may open a WebSocket. host: IP address that it comes from."""
        try:
            address = urlsplit(request.path)
            query = parse_qs(address.query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            return text(HTTPStatus.BAD_REQUEST, "this is no address")
        if refusal := self.access.foreign(request.headers):
            return text(HTTPStatus.FORBIDDEN, refusal)
        path, files = address.path, page_files()
        if path in files and path not in ("/", "/index.html"):
            return respond(HTTPStatus.OK, *files[path])
        upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
        allowed = self.access.allows(query.get("token", [""])[0])
        # The page and the root of OSCQuery's tree share an address: browsers ask for HTML.
        html = "text/html" in request.headers.get("Accept", "") and query.keys() <= {"token"}
        if path in (SOCKET, THUMBNAIL, "/index.html") or (path == "/" and html):
            return self._of_page(path, query.get("look", [""])[0], upgrade) if allowed else _refused()
        if not (allowed or self.open_tree(host)):
            return _refused()
        return None if upgrade else self._of_tree(path, address.query)

    def _of_page(self, path: str, look: str, upgrade: bool) -> Response | None:
        if path == SOCKET:
            return None if upgrade else text(HTTPStatus.UPGRADE_REQUIRED, "this address is for a WebSocket")
        if path == THUMBNAIL:
            jpeg = self.thumbnail(look)
            return respond(HTTPStatus.OK, "image/jpeg", jpeg) if jpeg else _nothing()
        return respond(HTTPStatus.OK, *page_files()[path])

    def _of_tree(self, path: str, query: str) -> Response:
        attributes = "&".join(part for part in query.split("&") if not part.startswith("token="))
        try:
            node = self.tree(path, attributes)
        except QueryError as error:
            return text(HTTPStatus.BAD_REQUEST, str(error))
        if node is None:
            return _nothing()
        return respond(HTTPStatus.OK, "application/json", json.dumps(node).encode())


def _refused() -> Response:
    return text(HTTPStatus.FORBIDDEN, NO_TOKEN)


def _nothing() -> Response:
    return text(HTTPStatus.NOT_FOUND, "there is nothing at this address")


def is_page(connection: ServerConnection) -> bool:
    """Whether an open WebSocket is a page's; the others are OSCQuery's."""
    return connection.request is not None and urlsplit(connection.request.path).path == SOCKET


def text(status: HTTPStatus, line: str, **more: str) -> Response:
    """A response of one line. more: headers."""
    return respond(status, "text/plain; charset=utf-8", (line + "\n").encode(), **more)


def respond(status: HTTPStatus, kind: str, body: bytes, **more: str) -> Response:
    """A response with the headers that every one has, and more."""
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **_SAFETY, **more}
    return Response(status.value, status.phrase, Headers(headers), body)


@cache
def page_files() -> Mapping[str, tuple[str, bytes]]:
    """Content type and bytes of each file, by its path in an address; "/" is the page."""
    files = {
        f"/{path.name}": (TYPES[path.suffix], path.read_bytes())
        for path in sorted(FOLDER.iterdir())
        if path.suffix in TYPES
    }
    return MappingProxyType({"/": files["/index.html"], **files})
