"""Reads a camera, a network stream or another live source, and opens it again when it stalls or is unplugged."""

from __future__ import annotations

import logging
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import av

from tpos_live.core.errors import reason
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.output_names import masked
from tpos_live.image_source.reader import Reader, SourceError

log = logging.getLogger(__name__)

STALLED = 2.0
"""Seconds without a picture after which a camera is opened again."""
PAUSES = (0.5, 1.0)
"""Backoff: seconds before the first and before each further attempt to open it again."""
PATIENCE = 10.0
"""Timeout in seconds for opening, and for the first picture."""
STREAMS = ("rtsp://", "rtmp://", "udp://", "tcp://", "srt://")
TEST_PICTURES = "lavfi:"
QUICK = {"udp": {"analyzeduration": "300000"}}
"""FFmpeg's options by scheme. A transport stream lists its contents often, so probing 0.3 s of it is enough (0.7 s to
the first picture, was 1.1 s)."""


def address_of(name: str) -> tuple[str, str | None]:
    """The address and format that FFmpeg opens for `camera`, `camera:N`, `camera:NAME`, a stream's address or
    `lavfi:FILTERS`; with format None FFmpeg decides. Raises SourceError where FFmpeg has no such camera."""
    if name.startswith(STREAMS):
        return name, None
    if name.startswith(TEST_PICTURES):
        return name.removeprefix(TEST_PICTURES), "lavfi"
    chosen = name.partition(":")[2] or "0"
    if sys.platform.startswith("linux"):
        return (f"/dev/video{chosen}" if chosen.isdecimal() else chosen), "v4l2"
    if sys.platform == "darwin":
        return chosen, "avfoundation"
    if sys.platform == "win32":
        if chosen.isdecimal():
            raise SourceError("source camera: Windows names cameras; use camera:NAME (Settings, Cameras, lists them)")
        return f"video={chosen}", "dshow"
    raise SourceError("source camera: cameras are read on Linux, macOS and Windows only")


class Camera(Reader):
    """Reads on a thread of its own; `at` gives the newest picture.

    While the camera is lost, the last picture stays and `trouble` has the reason; the loss and the return are logged.
    A thread that hangs in the driver is abandoned. Thread contract: `at`, `trouble` and `close` belong to one thread.
    """

    live = True

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        attempt: Callable[[Mailbox[av.VideoFrame]], Attempt] | None = None,
        remedy: str = "check the camera and who else uses it",
    ) -> None:
        """Waits for the first picture, at most PATIENCE seconds. Raises SourceError if none comes.

        attempt: opens the camera and begins to read; None opens `name` with FFmpeg. remedy: the part of the error
        message that says what to do."""
        shown = masked(name)  # the address of a network camera may contain a password
        self.name = shown if len(shown) <= 40 else f"{shown[:37]}..."
        self._begin = attempt or partial(_FFmpegAttempt, address_of(name))
        self._clock = clock
        self._pictures: Mailbox[av.VideoFrame] = Mailbox()
        self._attempt = self._begin(self._pictures)
        self._newest: av.VideoFrame | None = None
        self._came_at = clock()
        self._attempts = 0
        self._attempt.wait_for_first(PATIENCE)
        if not self._pictures.wait(0.0):
            self._attempt.stop()
            why = self._attempt.error or f"no picture within {PATIENCE:.0f} s"
            raise SourceError(f"source {self.name}: {why}; {remedy}")

    def at(self, seconds: float) -> av.VideoFrame | None:
        now = self._clock()
        if (new := self._pictures.take()) is not None:
            if self.trouble:
                log.info(f"source {self.name}: is back")
            self._newest, self._came_at, self._attempts, self.trouble = new, now, 0, ""
        elif now - self._came_at > self._patience():
            if not self.trouble:
                why = self._attempt.error or f"no picture for {STALLED:.0f} s"
                self.trouble = f"source {self.name}: {why}; the last picture stays until it is back"
                log.warning(self.trouble)
            self._attempt.stop()
            self._attempt = self._begin(self._pictures)
            self._attempts += 1
            self._came_at = now
        return self._newest

    def close(self) -> None:
        self._attempt.stop()

    def _patience(self) -> float:
        """Seconds without a picture before the next attempt."""
        if self._attempt.opening:  # it has a timeout of its own, and may hold the port that another attempt needs
            return PATIENCE + STALLED
        pause = PAUSES[min(self._attempts, len(PAUSES) - 1)]
        return pause if self._attempt.error else max(STALLED, pause)


class Attempt(ABC):
    """One attempt to open and read a camera, on a thread of its own. `error`: why it has ended, "" while it runs.
    `opening`: whether it still waits for the system or the network, at most PATIENCE seconds."""

    def __init__(self, pictures: Mailbox[av.VideoFrame]) -> None:
        self.error = ""
        self.opening = False
        self._pictures = pictures
        self._stop, self._first = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="camera", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def wait_for_first(self, seconds: float) -> None:
        """Wait until a picture has come or the attempt has ended, at most `seconds`."""
        self._first.wait(seconds)

    @abstractmethod
    def _read(self) -> str:
        """Pass pictures to `_put` until `_stop` is set. Returns the reason why no more come, "" after a stop, or raises
        it."""

    def _put(self, picture: av.VideoFrame) -> None:
        self._pictures.put(picture)
        self._first.set()

    def _run(self) -> None:
        try:
            self.error = self._read()
        except Exception as error:  # drivers and servers fail in many ways; the show goes on
            self.error = reason(error, 120)  # without the address, which FFmpeg's own text contains
        finally:
            self.opening = False
            self._first.set()


class _FFmpegAttempt(Attempt):
    """An attempt with FFmpeg. address: as from `address_of`."""

    def __init__(self, address: tuple[str, str | None], pictures: Mailbox[av.VideoFrame]) -> None:
        self._address = address
        super().__init__(pictures)

    def _read(self) -> str:
        address, kind = self._address
        options = QUICK.get(address.partition(":")[0], {})
        self.opening = True
        with av.open(address, format=kind, timeout=(PATIENCE, STALLED), options=options) as container:
            self.opening = False
            container.streams.video[0].thread_type = "SLICE"  # frame threading would add latency
            begin: float | None = None
            for frame in container.decode(video=0):
                if self._stop.is_set():
                    return ""
                if kind == "lavfi":  # FFmpeg's filters generate pictures as fast as they are read
                    begin = time.monotonic() if begin is None else begin
                    self._stop.wait(max(begin + (frame.time or 0.0) - time.monotonic(), 0.0))
                self._put(frame)
        return "has ended"
