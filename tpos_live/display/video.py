"""Writes frames and audio to a file that is playable even if the process is killed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, BinaryIO, Self

from tpos_live.core.heap import give_back_later
from tpos_live.display.av_writer import AvWriter
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import OutputFile, check_folder, gone, is_there

MP4 = {
    "movflags": "frag_keyframe+delay_moov+default_base_moof",
    "frag_duration": "250000",
    "flush_packets": "1",
    "fflags": "+bitexact",
}
MATROSKA = {"cluster_time_limit": "250", "flush_packets": "1", "fflags": "+bitexact"}

WRITE_BUFFER = 1 << 20
"""Bytes that the muxer collects for one write. A fragment of a quarter of a second fits, up to 32 Mbit/s, so a kill
seldom leaves a part of one."""
LEAST = 1 << 20
"""Bytes from which on a part is kept after an error, whatever is in it."""


class VideoWriter(AvWriter):
    """H.264 and AAC in fragmented MP4 or in Matroska (.mkv), one fragment per quarter of a second.

    Written as `NAME.part.mp4` and renamed at a clean end, with a number where such a file exists. After an
    exception the part keeps its name, finished as far as possible, unless it has no picture; the part of a killed
    process plays up to its last fragment. No file is created before the first frame or sample. A context manager.
    One thread at a time.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float, **options: Any) -> None:
        """See `AvWriter`."""
        super().__init__(size, fps, **options)
        self.output = OutputFile(Path(path))
        self._file: _File | None = None

    @property
    def path(self) -> Path:
        """The final name; fixed once something was written."""
        return self.output.path

    @property
    def part(self) -> Path:
        """The name while the file is written."""
        return self.output.part

    @property
    def target(self) -> str:
        return self.path.name

    @property
    def bytes(self) -> int:
        return self._file.written if self._file is not None else 0

    def __enter__(self) -> Self:
        """Check that a file can be written there. Raises DisplayError with the reason and the remedy."""
        super().__enter__()
        check_folder(self.output.wanted.parent)
        return self

    def _open_container(self) -> Any:
        self._file = _File(self.output.open())
        matroska = self.path.suffix.lower() == ".mkv"
        kind, options = ("matroska", MATROSKA) if matroska else ("mp4", MP4)
        return self._av.open(self._file, "w", format=kind, options=options, buffer_size=WRITE_BUFFER)

    def _failure(self, why: str) -> DisplayError:
        if self._file is not None and not is_there(self.part):
            return gone(self.part)
        return DisplayError(f"cannot write {self.part}: {why}; choose another folder or make room")

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        """Finish the file, and rename it unless there was an exception. Raises DisplayError if that fails."""
        if self._container is None:
            if self._file is not None:
                self._file.close()
                self.output.discard()
            return
        try:
            with contextlib.suppress(Exception) if kind is not None else self._display_errors():
                self._flush()
        finally:
            with contextlib.suppress(Exception) if kind is not None else self._display_errors():
                self._container.close()
            self._container = None
            assert self._file is not None
            self._file.close()
            give_back_later()
        if kind is not None:
            if not self.frames_written or (self.bytes < LEAST and not self._has_picture()):
                with contextlib.suppress(OSError):  # the disk may be gone, and its own error is logged
                    self.output.discard()
            return
        with self._display_errors():
            if self._file.error is not None:
                raise self._file.error
            self.output.finish()

    def _has_picture(self) -> bool:
        """Whether the part can be played."""
        with contextlib.suppress(Exception), self._av.open(str(self.part)) as file:
            return next(file.demux(video=0)).size > 0
        return False


class _File:
    """A file for the muxer. Keeps its first error, because the muxer loses some, mostly at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self.error: OSError | None = None
        self.written = 0
        self._file = file

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
            raise
        self.written += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
