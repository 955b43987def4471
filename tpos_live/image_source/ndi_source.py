"""An NDI source on the network as a source of images, with the extra `ndi` (cyndilib, which includes the NDI runtime).

The NDI runtime is proprietary and has a licence of its own (https://ndi.video); NDI is a trademark of Vizrt NDI AB.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import av
import numpy as np

from tpos_live.core.mailbox import Mailbox
from tpos_live.core.optional_library import MissingLibraryError, optional_library
from tpos_live.image_source.camera import Attempt, Camera
from tpos_live.image_source.reader import SourceError

NDI = "ndi:"
SEARCH = 6.0
"""Seconds after which the search for a name on the network ends."""
_POLL = 0.004
"""Polling interval in seconds: the library's own wait holds Python's global interpreter lock."""


def open_ndi(name: str) -> Camera:
    """A reader for `ndi:NAME`. NAME: the full name of an NDI source, or the part in brackets. Raises SourceError."""
    wanted = name.removeprefix(NDI).strip()
    if not wanted:
        raise SourceError("source ndi: which one? ndi:NAME, as other programs list it")
    try:
        optional_library("cyndilib.receiver", "ndi")
    except MissingLibraryError as error:
        raise SourceError(f"source {NDI}{wanted[:40]}: {error}") from error
    remedy = "check that it sends and is on the same network"
    return Camera(NDI + wanted, attempt=partial(NdiAttempt, wanted), remedy=remedy)


def matches(wanted: str, found: str) -> bool:
    """Whether an NDI source `COMPUTER (NAME)` is the wanted one, by its full name or by NAME alone, in any case."""
    wanted, found = wanted.lower(), found.lower()
    return wanted == found or found.endswith(f" ({wanted})")


class NdiAttempt(Attempt):
    """Finds one NDI source and receives its newest pictures."""

    def __init__(self, wanted: str, pictures: Mailbox[av.VideoFrame]) -> None:
        self._wanted = wanted
        super().__init__(pictures)

    def _read(self) -> str:
        receivers = optional_library("cyndilib.receiver", "ndi")
        kinds = optional_library("cyndilib.wrapper.ndi_recv", "ndi")
        frames = optional_library("cyndilib.video_frame", "ndi")
        with optional_library("cyndilib.finder", "ndi").Finder() as finder:
            source = self._find(finder)
            if source is None:
                there = ", ".join(sorted(finder.get_source_names())[:3])
                return f"no NDI source has this name; there {f'is {there}'[:80] if there else 'is none'}"
            receiver = receivers.Receiver(
                color_format=kinds.RecvColorFormat.RGBX_RGBA,
                bandwidth=kinds.RecvBandwidth.highest,
                allow_video_fields=False,
            )
            frame = frames.VideoFrameSync()
            receiver.frame_sync.set_video_frame(frame)
            receiver.set_source(source)
            try:
                self._receive(receiver, frame)
            finally:
                receiver.disconnect()
        return ""

    def _find(self, finder: Any) -> Any:
        end = time.monotonic() + SEARCH
        while not self._stop.is_set() and time.monotonic() < end:
            for name in finder.get_source_names():
                if matches(self._wanted, name):
                    return finder.get_source(name)
            self._stop.wait(0.05)
            finder.update_sources()
        return None

    def _receive(self, receiver: Any, frame: Any) -> None:
        """Poll the frame synchroniser. It repeats the last picture while there is no new one; the timestamp tells."""
        last = None
        while not self._stop.wait(_POLL):
            receiver.frame_sync.capture_video()
            width, height = frame.get_resolution()
            stamp = frame.get_timestamp_posix()
            if min(width, height) <= 0 or stamp == last:
                continue
            last = stamp
            pixels = np.array(frame.get_array(), np.uint8).reshape(height, width, 4)
            self._put(av.VideoFrame.from_ndarray(pixels, format="rgba"))
