"""The source of a live show, which reads, decodes and scales pictures on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.cores import lower_this_thread
from tpos_live.core.errors import first_line
from tpos_live.core.frame import SourceImage
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.heap import give_back_later
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.timing import Rate
from tpos_live.image_source.mask_file import MaskFile
from tpos_live.image_source.open import NOTHING, Opener, is_gone, open_source, short_name
from tpos_live.image_source.player import SourcePlayer
from tpos_live.image_source.reader import Reader, Wanted

log = logging.getLogger(__name__)

_STOP_CHECK = 0.2
"""Longest wait in seconds before the stop flag is checked."""
_EARLY = 0.2
"""A camera's picture is ready before the next frame is expected, by this share of the frame interval."""
NICE = 10
"""Niceness of the threads that open and decode sources. To open a clip, FFmpeg decodes from the last key frame with
several threads: at niceness 0, engine frames took up to 5.5 times as long meanwhile, now up to 3.2 times. With the
engine busy on two cores, clips of 1280x720 still reach 25 fps (measured)."""


PATIENCE = 5.0
"""Seconds that a source may take to open before another one that is named takes its place: a disk of the network or the
driver of a camera may never answer."""
AGAIN = 0.5
"""Seconds between checks for a file or folder that disappeared while it was shown."""


def pause_before(interval: float, took: float) -> float:
    """Seconds to wait, after a frame has asked for a camera's picture, so that the newest picture is ready just before
    the next frame begins. interval: seconds between the last two requests. took: seconds to decode and scale one."""
    return min(max((1.0 - _EARLY) * interval - took, 0.0), _STOP_CHECK)


@dataclass(frozen=True, eq=False)
class _Opening:
    """A source that is opened since `began`, by `time.perf_counter`."""

    name: str
    began: float


class _Opened(NamedTuple):
    """Result of opening a source. reader: None if it failed. error: then the reason, one line."""

    name: str
    reader: Reader | None
    error: str = ""


class LiveSource(OwnThread):
    """Pictures for a live show.

    A context manager. Thread contract: only the render thread calls `image`, which never waits: it requests a picture
    and returns the newest one, so a picture is at most one engine frame late. Any thread may read `line`.

    A source is opened on another thread. The source before it stays until the new one is open, or for good if the new
    one cannot be read. A file or folder that disappears (a USB stick is removed) is opened again when it is back.
    """

    def __init__(self, refused: Callable[[str], str] = lambda name: "", opener: Opener = open_source) -> None:
        """refused: gives the reason why a source must not be opened, one line; "" if it may. opener: opens sources."""
        super().__init__("image source", patience=1.0)
        self._refused, self._opener = refused, opener
        self._mask = MaskFile(refused)
        self._wanted: Mailbox[Wanted] = Mailbox()
        self._images: Mailbox[SourceImage | None] = Mailbox()
        self._opened: Mailbox[_Opened] = Mailbox()
        self._opening: _Opening | None = None
        self._failed = self._lost = ""
        self._sought_at = 0.0
        self._player: SourcePlayer | None = None
        self._rate = Rate()
        self.line = ""
        """Name and frame rate of the source, or its error, one line for the status; "" without a source."""

    def image(
        self, params: FrameParams, snapshot: Snapshot, size: tuple[int, int], conditioning: Conditioning | None = None
    ) -> SourceImage | None:
        """The newest picture; None without a source."""
        newest = self._images.latest()
        if newest is None and str(snapshot["source"]).strip() in NOTHING:
            return None
        self._wanted.put(Wanted(params, snapshot, size, conditioning))
        return newest

    def _wake(self) -> None:
        self._wanted.end()

    def _run(self) -> None:
        lower_this_thread(NICE)
        asked, interval, took = 0.0, 0.0, 0.0
        while not self._stop.is_set():
            if not self._wanted.wait(_STOP_CHECK) or (wanted := self._wanted.take()) is None:
                continue
            interval, asked = time.perf_counter() - asked, time.perf_counter()
            # A camera's picture taken now would be old when the next frame begins.
            live = self._player is not None and self._player.reader.live
            if live and self._wanted.wait(pause_before(interval, took)):
                wanted = self._wanted.take() or wanted
                asked = time.perf_counter()
            began, name = time.perf_counter(), str(wanted.snapshot["source"]).strip()
            try:
                self._step(wanted, name)
            except Exception as error:  # decoders fail in many ways; the last picture stays, and the show goes on
                self._lost = name if is_gone(name) else ""  # before the line: whoever reads it may bring the file back
                self._fail(name, first_line(error, 200))
                self._replace(None)
            took = max(time.perf_counter() - began, 0.9 * took)
        self._replace(None)

    def _step(self, wanted: Wanted, name: str) -> None:
        self._follow(name, float(wanted.snapshot["source.seconds"]))
        if name in NOTHING:
            self.line = ""
            self._images.put(None)
            return
        if self._player is None:
            return
        image = self._player.image(wanted, time.perf_counter())
        if name != self._failed:
            rate = self._rate.at(time.perf_counter(), self._player.pictures)
            self.line = self._player.reader.trouble or f"{self._player.reader.name}, {rate:.0f} fps"
        if image is not self._images.latest():
            self._images.put(image)

    def _follow(self, name: str, each: float) -> None:
        """Open the source `name` on a thread, and use it once it is open. each: seconds per picture of a folder."""
        if (found := self._opened.take()) is not None:
            self._opening = None
            if found.reader is None and found.name == self._lost:
                self._failed = self._lost  # logged before; the folder may be back only in part
            elif found.reader is None:
                self._fail(found.name, found.error)
            elif found.name == name:
                found.reader.gentle = True
                self._replace(SourcePlayer(name, found.reader, self._mask))
                if name == self._lost:
                    log.info(f"source {found.reader.name}: is back")
                self._failed = self._lost = ""
            else:  # the parameter has changed meanwhile
                found.reader.close()
        self._lost = self._lost if name == self._lost else ""
        if self._lost and time.perf_counter() - self._sought_at > AGAIN:
            self._sought_at = time.perf_counter()
            self._failed = name if is_gone(name) else ""
        if name in NOTHING:
            self._replace(None)
            self._failed = ""
        elif name != self._failed and (self._player is None or name != self._player.name):
            self._begin_to_open(name, each, time.perf_counter())

    def _begin_to_open(self, name: str, each: float, now: float) -> None:
        """On a thread, once the one before is open, or does not answer."""
        if self._opening is not None:
            if name == self._opening.name or now - self._opening.began < PATIENCE:
                return
            log.warning(f"source {short_name(self._opening.name)}: does not answer; left for another one")
            self._opening = None
        if why := self._refused(name):
            self._fail(name, why)
            return
        self._opening = _Opening(name, now)
        threading.Thread(target=self._open, args=(self._opening, each), name="open source", daemon=True).start()

    def _open(self, opening: _Opening, each: float) -> None:
        lower_this_thread(NICE)  # FFmpeg's threads inherit it
        name = opening.name
        try:
            opened = _Opened(name, self._opener(name, each))
        except Exception as error:  # readers fail in many ways; `_follow` logs the line
            opened = _Opened(name, None, first_line(error, 200))
        if self._opening is opening:
            self._opened.put(opened)
        elif opened.reader is not None:  # it was left
            opened.reader.close()

    def _fail(self, name: str, line: str) -> None:
        """Log why a source failed, and do not open it again until `source` changes."""
        log.warning(line)
        self._failed, self.line = name, line

    def _replace(self, player: SourcePlayer | None) -> None:
        old, self._player = self._player, player
        if old is not None:
            try:
                old.reader.close()
            except Exception as error:  # must not stop the next source
                log.warning(f"source {old.reader.name}: cannot be closed ({first_line(error)})")
            give_back_later()
