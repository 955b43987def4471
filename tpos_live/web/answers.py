"""Answers to plain HTTP requests: the page's files and the looks' thumbnails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tpos_live.web.access import NO_TOKEN, Access
from tpos_live.web.page_files import page_files

SOCKET = "/socket"
"""Path of the page's WebSocket."""
THUMBNAIL = "/thumbnail"
_SAFETY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Answers:
    """thumbnail: JPEG of the look of that name, None where there is none."""

    access: Access
    thumbnail: Callable[[str], bytes | None] = lambda name: None

    def answer(self, request: Request) -> Response | None:
        """The response to a request, None for one that may open a WebSocket."""
        try:
            address = urlsplit(request.path)
            query = parse_qs(address.query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            return text(HTTPStatus.BAD_REQUEST, "this is no address")
        if refusal := self.access.foreign(request.headers):
            return text(HTTPStatus.FORBIDDEN, refusal)
        files = page_files()
        if address.path in files and address.path not in ("/", "/index.html"):
            return respond(HTTPStatus.OK, *files[address.path])
        if not self.access.allows(query.get("token", [""])[0]):
            return text(HTTPStatus.FORBIDDEN, NO_TOKEN)
        if address.path == SOCKET:
            return None
        if address.path in files:
            return respond(HTTPStatus.OK, *files[address.path])
        if address.path == THUMBNAIL and (jpeg := self.thumbnail(query.get("look", [""])[0])):
            return respond(HTTPStatus.OK, "image/jpeg", jpeg)
        return text(HTTPStatus.NOT_FOUND, "there is nothing at this address")


def text(status: HTTPStatus, line: str) -> Response:
    """A response of one line."""
    return respond(status, "text/plain; charset=utf-8", (line + "\n").encode())


def respond(status: HTTPStatus, kind: str, body: bytes) -> Response:
    """A response with the headers that every one has."""
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **_SAFETY})
    return Response(status.value, status.phrase, headers, body)
