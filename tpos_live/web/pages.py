"""The open pages: sends each one what has changed, and carries out its requests."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tpos_live.core.guard import Guard
from tpos_live.core.parameter import Parameter
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import FEATURES, TABLE, TARGETS
from tpos_live.web import connections
from tpos_live.web.page_state import PageState
from tpos_live.web.requests import Request, RequestError, carry_out, read

log = logging.getLogger(__name__)

MOST_PAGES = 32
IN_FLIGHT = 2
"""Most images of the preview that a page has not shown yet; more would wait in buffers and be shown late."""
GROUPS = {
    "Image": ("seed", "strength", "steps", "guidance", "lora", "intensity", "pause", "reset"),
    "Motion": ("motion",),
    "Finish": ("finish",),
    "Sound": ("audio",),
    "Tempo": ("tempo", "quantise"),
    "Director": ("director",),
    "Looks": ("look", "autopilot"),
    "Prompt": ("prompt",),
    "Output": ("out",),
    "Walls": ("out.wall",),
    "MIDI": ("midi",),
}
"""Groups by title: the first word or two words of their parameters' names. Other names get a group of their own."""


class Page:
    """One open page. seen: the state that it was sent last. in_flight: images of the preview that were sent and not yet
    shown."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.seen: PageState | None = None
        self.previewing = False
        self.in_flight = 0
        self.sent_image: bytes | None = None
        self.errors: list[str] = []
        self.news = asyncio.Event()


class Pages:
    """All open pages. Thread contract: everything on the web thread, in its event loop."""

    def __init__(
        self,
        store: ParameterStore,
        state: Callable[[], PageState],
        switch_preview: Callable[[bool], None] = lambda on: None,
    ) -> None:
        """state: what pages show now. switch_preview: begins and ends the preview."""
        self._store, self._state, self._switch_preview = store, state, switch_preview
        self._pages: set[Page] = set()
        self._has_pages = asyncio.Event()
        self._newest = PageState({}, {})
        self._image: bytes | None = None
        self._encoded: tuple[PageState | None, PageState | None, str] = (None, None, "")
        self._description = json.dumps({"describe": describe()}, separators=(",", ":"))
        self.previewing = False

    async def run(self) -> None:
        """Update the pages `connections.RATE` times a second; waits while none is open."""
        guard = Guard(log, "the control page", logging.INFO)
        while True:
            await self._has_pages.wait()
            with guard:
                self._newest = self._state()
            for page in self._pages:
                page.news.set()
            await asyncio.sleep(1.0 / connections.RATE)

    async def serve(self, connection: ServerConnection) -> None:
        """Serve one page until it is closed."""
        if len(self._pages) >= MOST_PAGES:
            await connections.refuse(connection, f"{MOST_PAGES} pages are open; close one")
            return
        connections.limit_buffer(connection)
        page = Page(connection)
        self._newest = self._state()
        self._pages.add(page)
        page.news.set()
        self._has_pages.set()
        sender = asyncio.create_task(self._send_news(page))
        try:
            await self._receive(page)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            self._pages.discard(page)
            if not self._pages:
                self._has_pages.clear()
            self._update_preview()

    def show(self, image: bytes) -> None:
        """A new image of the preview, JPEG."""
        self._image = image
        for page in self._pages:
            if page.previewing:
                page.news.set()

    async def _receive(self, page: Page) -> None:
        async for message in page.connection:
            try:
                request = read(message)
                carry_out(request, self._store)
            except (RequestError, ValueError) as error:
                page.errors = [*page.errors[-3:], str(error)]
                page.news.set()
            else:
                self._note(page, request)
            await asyncio.sleep(connections.PAUSE)

    def _note(self, page: Page, request: Request) -> None:
        """Carry out the part of a request that concerns its page: preview, and shown images."""
        if request.preview is not None:
            page.previewing, page.in_flight = request.preview, 0
            self._update_preview()
        if request.shown:
            page.in_flight = max(page.in_flight - request.shown, 0)
            page.news.set()

    def _update_preview(self) -> None:
        """Begin the preview for the first page that shows it, end it after the last one."""
        wanted = any(page.previewing for page in self._pages)
        if wanted != self.previewing:
            self.previewing = wanted
            self._switch_preview(wanted)

    async def _send_news(self, page: Page) -> None:
        """Send changes since the last message. A slow page gets fewer messages, each with the newest state."""
        with connections.sending(page.connection, "a control page"):
            await connections.send(page.connection, self._description)
            while True:
                await page.news.wait()
                page.news.clear()
                await self._send_new(page)

    async def _send_new(self, page: Page) -> None:
        state = self._newest
        if state is not page.seen:
            text = self._encode(page.seen, state)
            page.seen = state
            if text != "{}":
                await connections.send(page.connection, text)
        while page.errors:
            await connections.send(page.connection, json.dumps({"error": page.errors.pop(0)}))
        image = self._image
        if page.previewing and image is not None and image is not page.sent_image and page.in_flight < IN_FLIGHT:
            page.sent_image = image
            page.in_flight += 1
            await connections.send(page.connection, image)

    def _encode(self, old: PageState | None, new: PageState) -> str:
        """Changes as JSON; pages with the same state share one text."""
        if self._encoded[0] is not old or self._encoded[1] is not new or old is None:
            # As ASCII: a lone surrogate, as in a file's name that is not UTF-8, cannot be sent otherwise.
            self._encoded = old, new, json.dumps(new.since(old), separators=(",", ":"))
        return self._encoded[2]


def describe() -> dict[str, Any]:
    """groups: title and parameters. map: features, targets, and the parameters that each pair has besides its depth."""
    groups: dict[str, list[dict[str, Any]]] = {title: [] for title in GROUPS}
    titles = {first: title for title, words in GROUPS.items() for first in words}
    for parameter in TABLE.values():
        first, *more = parameter.name.split(".")
        title = titles.get(".".join([first, *more[:1]])) or titles.get(first, first.capitalize())
        if first != "map":
            groups.setdefault(title, []).append(_parameter(parameter))
    parts = {part: _parameter(TABLE[f"map.level.zoom.{part}"]) for part in ("curve", "attack", "release")}
    return {
        "groups": [{"title": title, "parameters": parameters} for title, parameters in groups.items() if parameters],
        "map": {
            "features": dict(FEATURES),
            "targets": {name: [low, high, unit, text] for name, (low, high, unit, text) in TARGETS.items()},
            "parts": parts,
        },
    }


def _parameter(p: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {"name": p.name, "kind": p.kind, "text": p.text}
    if p.kind in ("float", "int"):
        described |= {"low": 0 if p.off_below else p.low, "high": p.high, "unit": p.unit}
        if p.off_below:
            described["off_below"] = p.low
    if p.choices:
        described["choices"] = p.choices
    if p.kind != "trigger":
        described["default"] = p.default
    return described
