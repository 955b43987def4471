"""Image files as a source: a single file, or a folder as a slide show."""

from __future__ import annotations

import logging
from pathlib import Path

import av

from tpos_live.core.errors import first_line
from tpos_live.image_source.reader import Reader, SourceError, Wanted

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".tga"})


def read_picture(path: Path) -> av.VideoFrame:
    """The picture in an image file. Raises SourceError."""
    try:
        with av.open(str(path)) as container:
            return next(container.decode(video=0))
    except (av.FFmpegError, OSError, ValueError, IndexError, StopIteration) as error:
        raise SourceError(f"source {path.name}: not a picture that can be read ({first_line(error)})") from error


def pictures_in(folder: Path) -> list[Path]:
    """The image files of a folder (no pipes or devices), in the order of their names. Raises OSError."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


class Pictures(Reader):
    """Pictures in the order of their names, each shown for the same time.

    In place of a broken picture the one before it is shown, which is logged, so that each moment always has the same
    picture. The same holds for a file that has been deleted, without a log line.
    """

    def __init__(self, path: Path, each: float) -> None:
        """path: an image file or a folder. each: seconds per picture. Raises SourceError if there is no picture."""
        self.name, self.each = path.name, each
        self._files = [path]
        if path.is_dir():
            self._files = pictures_in(path)
        self._broken: set[Path] = set()
        self._place = -1
        self._frame: av.VideoFrame | None = None
        if not self._files:
            raise SourceError(f"source {path.name}: the folder has no pictures ({', '.join(sorted(SUFFIXES))})")
        self.at(0.0)

    def prepare(self, wanted: Wanted) -> None:
        self.each = float(wanted.snapshot["source.seconds"])

    @property
    def seconds(self) -> float:
        return self.each * len(self._files) if len(self._files) > 1 else 0.0

    def at(self, seconds: float) -> av.VideoFrame | None:
        place = min(int(seconds / self.each), len(self._files) - 1) if len(self._files) > 1 else 0
        if place != self._place:
            self._frame, self._place = self._nearest(place), place
        return self._frame

    def _nearest(self, place: int) -> av.VideoFrame:
        """The picture at index `place`, or the nearest one before it that can be read; before the first is the last."""
        for back in range(len(self._files)):
            path = self._files[place - back]
            if path in self._broken or not (path.is_file() or len(self._files) == 1):
                continue
            try:
                return read_picture(path)
            except SourceError as error:
                if len(self._files) == 1:
                    raise
                if not path.is_file():  # it was deleted between the check and the read
                    continue
                self._broken.add(path)
                log.warning(f"{error}; it is left out")
        raise SourceError(
            f"source {self.name}: none of its {len(self._files)} pictures can be read; choose another one"
        )
