"""The server of the control page: one thread with an event loop. Used by the live session."""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from tpos_live.control.osc_senders import AllowList
from tpos_live.core.looks import Show
from tpos_live.core.messages import LineHandler, handling
from tpos_live.core.network import (
    RETRY_SECONDS,
    is_loopback,
    is_taken,
    is_whole_network,
    own_address,
    why_not_listening,
)
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.port_claims import NO_CLAIMS, PortClaims
from tpos_live.core.status import Status
from tpos_live.web.access import Access
from tpos_live.web.oscquery import announce, answer, host_info
from tpos_live.web.page_state import Line, PageState, page_status
from tpos_live.web.preview import Preview
from tpos_live.web.thumbnails import LookImages, Thumbnails

log = logging.getLogger(__name__)

NAME = "tpos-live"
_TAKEN = "close that program, and the show takes it, or choose another port with --web-port or none with --no-web"
LARGEST_MESSAGE = 65_536
_LINES = 100
"""Messages that the page's log holds."""


class ControlPage(OwnThread):
    """The page from `__enter__` to `__exit__`. Entering waits for nothing: the server's library is imported, and the
    port opened, on the server's thread. Without a port the show goes on, with one log line; a port that is in use is
    tried again every RETRY_SECONDS. Leaving takes 0.5 s at most.

    Thread contract: one thread enters and leaves; `port` and `address` may be read from anywhere.
    """

    def __init__(
        self,
        store: ParameterStore,
        status: Callable[[], Status],
        looks: Callable[[], Show] = Show,
        host: str = "127.0.0.1",
        port: int = 9080,
        preview: Preview | None = None,
        osc: Callable[[], tuple[str, int]] = lambda: ("127.0.0.1", 0),
        images: LookImages | None = None,
        osc_allow: Iterable[str] = (),
        claims: PortClaims = NO_CLAIMS,
        token: str = "",
    ) -> None:
        """status and looks are called on the page's thread and must not block. port -1 takes a free one; 0 = no page at
        all. preview: entered and left with the page; None = no images. osc: host and port on which
        OSC listens, port 0 = none. images: where the looks' images are kept; None = only in memory.
        osc_allow: who is heard by OSC (`AllowList`), and reads OSCQuery without a token. token: see `Access.to`."""
        super().__init__("control page", patience=0.5)
        self.access = Access.to(host, token)
        self.port = 0
        """The TCP port in use, 0 while there is none."""
        self.opened = threading.Event()
        """Set once the port is open, or could not be."""
        self._store, self._status, self._looks, self._osc = store, status, looks, osc
        self._senders, self._wanted, self._claims = AllowList(osc_allow), port, claims
        self._preview = preview
        self.thumbnails = Thumbnails(preview.draw if preview else lambda done: None, looks(), images)
        self._lines: deque[Line] = deque(maxlen=_LINES)
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._wanted:
            self._stack.enter_context(handling(_LineKeeper(self._keep)))
            if self._preview is not None:
                self._stack.enter_context(self._preview)
            super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        super().__exit__(kind, error, trace)

    def withdraw(self) -> None:
        """Withdraw the announcement on the network, without waiting: its three goodbye packets take 0.25 s, in which
        other parts of the show can end."""
        if self._loop is not None and self._announcing is not None:
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._announcing.cancel)

    def _wake(self) -> None:
        if self._loop is not None and self._end is not None:
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._end.set)

    def state(self) -> PageState:
        """The state that pages show now."""
        values, status, thumbnails = self._store.snapshot().values, self._status(), self.thumbnails
        thumbnails.watch(status.look, float(values["look.fade"]), time.monotonic())
        return PageState(values, page_status(status), self._looks(), thumbnails.numbers, tuple(self._lines))

    def _keep(self, level: int, line: str) -> None:
        self._lines.append(Line(next(self._numbers), level, line))

    def _run(self) -> None:
        """Serve; where another program has the port, try it again."""
        told = ""
        while True:
            taken, reason = False, ""
            try:
                asyncio.run(self._serve())
            except OSError as error:
                taken = is_taken(error)
                reason = why_not_listening(error, self.access.host, self._wanted, "--web", _TAKEN)
            except Exception as error:  # the show goes on without the page
                reason = repr(error)
            self.port = 0
            self.opened.set()
            if reason and reason != told:
                told = reason
                log.info(f"no control page: {reason}")
            if not taken or self._stop.wait(RETRY_SECONDS):
                return

    async def _serve(self) -> None:
        from websockets.asyncio.server import serve  # late: takes 0.1 s, on this thread alone

        from tpos_live.web import connections
        from tpos_live.web.answers import Answers, is_page
        from tpos_live.web.listeners import Listeners
        from tpos_live.web.pages import Pages

        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        if self._stop.is_set():
            return
        pages = Pages(self._store, self.state, self._preview.switch if self._preview else lambda on: None)
        listeners = Listeners(self._store)
        # Senders that may set the parameters by OSC may read them, too.
        osc_is_open = self._osc()[1] > 0 and not is_loopback(self._osc()[0])
        answers = Answers(
            self.access, self.thumbnails.image, self._tree, lambda host: osc_is_open and self._senders.has(host)
        )
        if self._preview is not None:
            self._preview.deliver = lambda jpeg: self._pass_on(pages.show, jpeg)
        self._claims.check("page", self.access.host, self._wanted)
        server = await serve(
            lambda connection: (pages if is_page(connection) else listeners).serve(connection),
            self.access.host,
            max(self._wanted, 0),
            process_request=answers.process_request,
            create_connection=connections.limited(connections.MOST_CONNECTIONS),
            server_header=None,
            compression=None,
            max_size=LARGEST_MESSAGE,
            ping_interval=10,
            ping_timeout=10,
            close_timeout=0.2,
            open_timeout=5,
            logger=_silent(),
        )
        async with server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self.opened.set()
            self._claims.keep("page", self.access.host, self._wanted)
            log.info(f"control page: {self.address}{qr_code(self.address) if self.access.token else ''}")
            telling = asyncio.create_task(pages.run())
            self._announcing = asyncio.create_task(announce(NAME, self._reached_at, self.port))
            await self._end.wait()
            telling.cancel()
        self._announcing.cancel()
        await asyncio.gather(self._announcing, return_exceptions=True)

    def _tree(self, path: str, query: str) -> dict[str, Any] | None:
        """OSCQuery's answer to a path and a query; None where there is none."""
        if query.partition("=")[0].upper() == "HOST_INFO":
            host, port = self._osc()
            return host_info(NAME, "" if is_whole_network(host) else host, port)
        return answer(path, query, self._store.snapshot())

    def _pass_on(self, show: Callable[[bytes], None], jpeg: bytes) -> None:
        """Hand an image to the event loop, unless that has just ended."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(show, jpeg)

    @property
    def address(self) -> str:
        """The page's address for a browser, with the token."""
        host = self._reached_at
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + (f"?token={self.access.token}" if self.access.token else "")

    @property
    def _reached_at(self) -> str:
        host = self.access.host
        return own_address() if is_whole_network(host) else host


class _LineKeeper(LineHandler):
    """Passes level and first line of each message from INFO on to a function."""

    def __init__(self, keep: Callable[[int, str], None]) -> None:
        super().__init__(lambda line: None, logging.INFO)
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._keep(record.levelno, record.getMessage().partition("\n")[0])
        except Exception:
            self.handleError(record)


def _silent() -> logging.Logger:
    """A logger without output: what a client sends must not appear on the terminal of a show."""
    logger = logging.Logger("websockets", logging.CRITICAL + 1)
    logger.addHandler(logging.NullHandler())
    return logger


def qr_code(text: str) -> str:
    """A QR code for a dark terminal, to point a phone at; begins with a new line."""
    import segno

    file = io.StringIO()
    segno.make(text, micro=False).terminal(file, border=2, compact=True)
    return "\n" + file.getvalue()
