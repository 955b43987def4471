"""A client of the control page without a browser: keeps the newest values that the server has sent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tpos_live.web.control_page import ControlPage

PATIENCE = 20.0


class OpenPage:
    """Thread contract: one thread."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.description: dict[str, Any] = {}
        self.values: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.looks: list[Any] = []
        self.cues: list[Any] = []
        self.log: list[Any] = []
        self.errors: list[str] = []
        self.images: list[bytes] = []

    def send(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def take(self, seconds: float = PATIENCE) -> None:
        """Take one message. Raises TimeoutError."""
        message = self.connection.recv(seconds)
        if isinstance(message, bytes):
            self.images.append(message)
            return
        news = json.loads(message)
        self.description = news.get("describe", self.description)
        self.values |= news.get("values", {})
        self.status |= news.get("status", {})
        self.looks, self.cues = news.get("looks", self.looks), news.get("cues", self.cues)
        self.log += news.get("log", [])
        self.errors += [news["error"]] if "error" in news else []

    def wait(self, right: Callable[[], bool]) -> None:
        """Take messages until `right` returns True."""
        end = time.monotonic() + PATIENCE
        while not right():
            self.take(max(end - time.monotonic(), 0.01))


@contextmanager
def open_page(page: ControlPage, **options: Any) -> Iterator[OpenPage]:
    query = f"?token={page.access.token}" if page.access.token else ""
    with connect(f"ws://127.0.0.1:{page.port}/socket{query}", compression=None, **options) as connection:
        opened = OpenPage(connection)
        opened.wait(lambda: bool(opened.values))
        yield opened
