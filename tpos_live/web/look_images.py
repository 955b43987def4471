"""Images of looks on disk, so that they are there again at the next start."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from tpos_live.core.atomic import atomic_write
from tpos_live.core.errors import reason

log = logging.getLogger(__name__)

MOST = 400
"""Most images that are kept; the oldest ones are removed."""
LARGEST = 200_000
"""Bytes; a larger file is not one of these images."""
_JPEG = b"\xff\xd8"


class LookImages:
    """JPEG files in one folder, by `thumbnails.look_key`. A folder that cannot be written gives one line.

    Thread contract: any thread; not the display's, because it waits for the disk.
    """

    def __init__(self, folder: Path) -> None:
        """folder: made when the first image is kept."""
        self._folder = folder
        self._failed = False

    def get(self, key: str) -> bytes | None:
        """The image of this key, JPEG; None if there is none, or if it is damaged."""
        try:
            image = (self._folder / f"{key}.jpg").read_bytes()
        except OSError:
            return None
        return image if image.startswith(_JPEG) and len(image) <= LARGEST else None

    def put(self, key: str, image: bytes) -> None:
        """Keep an image in place of an older one of this key."""
        try:
            with atomic_write(self._folder / f"{key}.jpg", durable=False) as part:
                part.write_bytes(image)
            self._prune()
        except OSError as error:
            if not self._failed:
                self._failed = True
                log.info(f"images of looks are kept until the end of the show: {self._folder}: {reason(error)}")

    def _prune(self) -> None:
        files = sorted(self._folder.glob("*.jpg"), key=lambda file: file.stat().st_mtime)
        for file in files[:-MOST]:
            with suppress(OSError):
                file.unlink()
