"""The recordings of a session: file names, begin and end, continuation on another disk, and failures, which are shown
until they are acknowledged."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tpos_live.audio.source import RATE, Chunk
from tpos_live.core.errors import first_line
from tpos_live.core.messages import NOTICE
from tpos_live.core.output_names import VIDEO
from tpos_live.core.paths import expanded
from tpos_live.core.settings import RecordSettings
from tpos_live.core.timing import hms
from tpos_live.display.disk_watch import DiskUsage, DiskWatch, FolderSearch
from tpos_live.display.encoded_output import PATIENCE
from tpos_live.display.errors import DisplayError
from tpos_live.display.output import Output
from tpos_live.display.output_file import check_folder, check_output, is_same, remove_empty_parts
from tpos_live.display.output_transform import FrameTransform
from tpos_live.display.recorder import Recorder

log = logging.getLogger(__name__)

BRIEF = 1.0
"""A recording without a frame that is shorter than this (seconds) is an accidental key press, not a loss; one that
fails so early would fail again, so it does not go on in another file."""


def check_recording(record: RecordSettings, audio: str = "") -> None:
    """Raise DisplayError before a session that cannot be recorded as the settings say. audio: a file that it plays."""
    try:
        if record.file:
            check_output(Path(record.file), VIDEO, [Path(audio)] if audio else [])
            if reason := Recorder(Path(record.file)).is_available():
                raise DisplayError(reason)
        if record.folder:
            check_folder(Path(record.folder))
        if record.spare:
            check_folder(Path(record.spare))
        remove_empty_parts(Path(record.folder or "."), "tpos-*-*.part.mp4")
    except DisplayError as error:
        raise DisplayError(f"cannot record: {error}") from error


class Recordings:
    """Thread contract: `begin`, `end`, `acknowledge` and `close` on the display's thread; `add_audio` on the audio
    thread; the rest may be read from anywhere."""

    def __init__(
        self,
        first: str = "",
        folder: str = "",
        fps: float = 30.0,
        *,
        spare: str = "",
        usage: DiskUsage = shutil.disk_usage,
        transform: FrameTransform | None = None,
    ) -> None:
        """first: file of the first recording, "" = named after the time. folder: for files without a name. spare:
        folder where a recording goes on when its disk is full or gone, "" = the user's home. usage: gives the free
        space of a folder's disk. transform: applied to each frame."""
        self._first, self._folder, self._fps = first, Path(folder or "."), fps
        self._spare, self._usage, self._transform = expanded(spare or "~"), usage, transform
        self._path = Path()
        self._search: FolderSearch | None = None
        self._recorder: Recorder | None = None
        self._began = 0.0
        self._closing: list[threading.Thread] = []
        self._dropped_before = 0
        self.failures: list[str] = []
        """One line per recording that failed, repeated at the end of the session."""
        self.lost = ""
        """The last of them, until the next recording begins or `acknowledge`."""

    @property
    def running(self) -> bool:
        """True between `begin` and `end`."""
        return self._recorder is not None

    def fields(self) -> dict[str, Any]:
        """Fields of the Status."""
        recorder = self._recorder
        lost = {"record_dropped": self._dropped_before, "record_error": self.lost, "message": self.lost}
        if recorder is None:
            return lost
        return {
            **lost,
            "recording": str(recorder.path),
            "record_dropped": self._dropped_before + recorder.dropped,
            "record_seconds": recorder.seconds,
            "record_fps": recorder.recorded_fps,
            "record_lag_ms": 1000 * recorder.lag,
            "record_minutes_left": recorder.disk.minutes_left,
        }

    def add_audio(self, chunk: Chunk) -> None:
        """Audio for the recording."""
        recorder = self._recorder
        if recorder is not None:
            recorder.sound(chunk.stereo, chunk.captured_at)

    def begin(self, size: tuple[int, int], outputs: list[Output]) -> bool:
        """Begin a recording and add it to `outputs`, in the spare folder if its own is not there. False, and a message,
        if that fails too."""
        path = Path(self._first) if self._first else self._folder / f"tpos-{datetime.now():%Y%m%d-%H%M%S}.mp4"
        self._first, self.lost = "", ""
        if not (why := self._open(path, size, outputs)):
            return True
        if self._open(self._spare / path.name, size, outputs):
            self._fail(why)
            return False
        log.warning(f"{why}; recording in {self._spare.absolute()}")
        return True

    def _open(self, path: Path, size: tuple[int, int], outputs: list[Output]) -> str:
        """Begin to record to `path`; returns the reason if that fails at once, else ""."""
        recorder = Recorder(path, self._fps, disk=DiskWatch(self._usage), transform=self._transform)
        try:
            if reason := recorder.is_available():
                return reason
            recorder.open(size)
        except DisplayError as error:
            return str(error)
        except Exception as error:  # the show goes on, and does not try it again with every frame
            return f"cannot record {path}: {first_line(error)}"
        self._recorder, self._path, self._search = recorder, path, None
        self._began = time.perf_counter()
        outputs.append(recorder)
        return ""

    def update(self, size: tuple[int, int], outputs: list[Output]) -> bool:
        """Call it once per refresh. Continues a recording in another file if it failed, or if its disk is full. False,
        after a message, if nothing is recorded any more.

        size: (width, height) of the frames.
        """
        recorder = self._recorder
        if recorder is None or not (recorder.error or recorder.disk.full):
            self._search = None
            return recorder is not None
        if self._search is None or self._search.outdated:
            self._search = FolderSearch(self._other_folders(recorder), self._usage)
        if self._search.searching:
            return True
        folder = self._search.found
        if folder is None and not recorder.error:
            return True  # it writes until the disk is full
        self.end(outputs)
        if folder is None:
            return False
        if why := self._open(folder / self._path.name, size, outputs):
            self._fail(why)
            return False
        log.warning(f"the recording goes on in {folder.absolute()}")
        return True

    def _other_folders(self, recorder: Recorder) -> tuple[Path, ...]:
        """Folders in which a recording may continue. If it failed at once, as in a read-only folder, only the spare
        folder is tried: an encoder that fails would fail in each of them."""
        if recorder.seconds > BRIEF:
            return (self._spare, self._path.parent)
        return () if is_same(self._path.parent, self._spare) else (self._spare,)

    def end(self, outputs: list[Output], *, quiet: bool = False) -> None:
        """End the current recording; its file is finished on a thread of its own. quiet: do not report that there is
        no file."""
        recorder = self._recorder
        assert recorder is not None
        if recorder.error:
            self._fail(recorder.error)
        self._dropped_before += recorder.dropped
        self._recorder = None
        outputs.remove(recorder)
        quiet = quiet or time.perf_counter() - self._began < BRIEF
        self._closing = [thread for thread in self._closing if thread.is_alive()]
        thread = threading.Thread(target=self._finish, args=(recorder, quiet), name="recorder-close", daemon=True)
        thread.start()
        self._closing.append(thread)

    def acknowledge(self) -> None:
        """Clear the last failure."""
        self.lost = ""

    def close(self, outputs: list[Output], *, quiet: bool = False) -> None:
        """End the current recording, and wait until all are finished."""
        if self._recorder is not None:
            self.end(outputs, quiet=quiet)
        for thread in self._closing:
            thread.join(PATIENCE + 1.0)

    def _finish(self, recorder: Recorder, quiet: bool) -> None:
        recorder.close()
        if recorder.error:
            self._fail(recorder.error)
        elif recorder.seconds:
            rate = (recorder.seconds * self._fps - recorder.repeated) / recorder.seconds
            lost = f", {recorder.sound_lost / RATE:.1f} s of sound lost" if recorder.sound_lost else ""
            new = f"{rate:.1f} of {self._fps} frames per second are new images"
            log.log(NOTICE, f"recorded {recorder.path}, {hms(recorder.seconds)}, {new}{lost}")
        elif not quiet:
            self._fail(f"recording lost: no frame with audio came, so there is no {recorder.path}")

    def _fail(self, line: str) -> None:
        if line not in self.failures[-1:]:
            self.failures.append(line)
            self.lost = line
            log.error(line)
