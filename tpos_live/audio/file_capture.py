"""An audio file in place of a lost input: it loops in real time, and is not played aloud."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from time import perf_counter

import numpy as np

from tpos_live.audio.capture import Capture
from tpos_live.audio.files import open_audio, stream_audio
from tpos_live.audio.source import RATE
from tpos_live.core.errors import first_line
from tpos_live.core.paths import expanded

log = logging.getLogger(__name__)

_PERIOD = 0.005
_LATE = 0.5
"""Delay of the disk in seconds from which the clock restarts, so that late audio is not delivered at once."""
_SUFFIXES = {
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".m4a", ".mp4", ".aac", ".wma", ".webm", ".mkv",
    ".mov",
}  # fmt: skip


def names_a_file(text: str) -> bool:
    """Whether `text` names a file rather than an input."""
    path = Path(text)
    as_a_path = text.startswith((".", "~", "/", os.sep)) or path.suffix.lower() in _SUFFIXES
    return bool(text) and (as_a_path or path.is_file())


class FileCapture(Capture):
    """A capture from a file. Its own thread delivers a block every 5 ms."""

    def __init__(self, path: str | Path) -> None:
        """Raises AudioError for a file that cannot be read."""
        self._file = open_audio(expanded(path))
        self._blocks = stream_audio(self._file, loop=True)
        self._rest = next(self._blocks)
        name = Path(path).name
        super().__init__(name, name, RATE, (0, 1), perf_counter())
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._play, name="sound-fallback", daemon=True)
        self._thread.start()

    def close(self) -> bool:
        self._leaving.set()
        self._thread.join(0.2)
        return True

    def _play(self) -> None:
        began, given = perf_counter(), 0
        try:
            while not self._leaving.wait(_PERIOD):
                now = perf_counter()
                due = int((now - began) * RATE) - given
                if due > _LATE * RATE:
                    began, given, due = now, 0, round(_PERIOD * RATE)
                if due > 0:
                    self.deliver(self._take(due), now, overflow=False)
                    given += due
        except Exception as error:  # the supervisor opens it again
            log.warning(f"the fallback stopped: {first_line(error, 400)}")
            self.finish()
        finally:
            self._file.close()

    def _take(self, count: int) -> np.ndarray:
        while len(self._rest) < count:
            self._rest = np.concatenate([self._rest, next(self._blocks)])
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken
