"""Ableton Link as a source of the beat, with the library aalink (an extra, because its licence is the GPL)."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any, Self

from tpos_live.control.beat_source import ClockPosition
from tpos_live.core.errors import first_line
from tpos_live.core.messages import NOTICE
from tpos_live.core.optional_library import MissingLibraryError, optional_library
from tpos_live.core.own_thread import OwnThread
from tpos_live.features.downbeat import BEATS_PER_BAR

log = logging.getLogger(__name__)

START_TEMPO = 120.0
"""BPM of a session that we are the first of; it is not shown, for a session of one is no source of the beat."""
_CHECK_SECONDS = 0.5


class Link(OwnThread):
    """A context manager: entering joins the Link session of the local network, exiting leaves it.

    Thread contract: one thread enters and leaves; `position` may be called from anywhere and never waits.
    """

    name = "Link"

    def __init__(self, on: bool) -> None:
        """on: False for no Link. Without the extra, a line says what to install."""
        super().__init__("link", patience=1.0)
        self._library: Any = None
        self._link: Any = None
        self._joined = threading.Event()
        self._played = False
        if on:
            try:
                self._library = optional_library("aalink", "link")
            except MissingLibraryError as error:
                log.warning(f"no Link: {error}")

    def __enter__(self) -> Self:
        if self._library is not None:
            super().__enter__()
            self._joined.wait(1.0)
        return self

    def position(self, at: float) -> ClockPosition | None:
        """Where the session is at `at`, seconds of perf_counter; None while we are alone in it, or it has stopped.

        Stopped means that a peer with start-stop synchronisation has played and stopped: many never say that they play.
        """
        link = self._link
        if link is None or link.num_peers == 0:
            return None
        playing = bool(link.playing)
        self._played = self._played or playing
        if self._played and not playing:
            return None
        tempo = float(link.tempo)
        ahead = (at - time.perf_counter()) * tempo / 60.0
        beat, phase = float(link.beat), float(link.phase)
        whole = round((beat - phase) / BEATS_PER_BAR) * BEATS_PER_BAR  # the bar is that of the phase
        return ClockPosition(tempo, whole + phase + ahead)

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except Exception as error:  # of the library or the network: the show goes on without Link
            log.warning(f"no Link: {first_line(error)}")
        finally:
            self._link = None
            self._joined.set()

    async def _follow(self) -> None:
        link = self._library.Link(START_TEMPO)
        link.quantum = float(BEATS_PER_BAR)
        link.start_stop_sync_enabled = True
        link.enabled = True
        self._link = link
        self._joined.set()
        peers = 0
        while not self._stop.is_set():
            if link.num_peers != peers:
                peers = link.num_peers
                log.log(NOTICE, f"Link: {peers} peer{'' if peers == 1 else 's'}, {link.tempo:.1f} BPM")
            await asyncio.sleep(_CHECK_SECONDS if peers else 0.1)
        self._link = None
        link.enabled = False
