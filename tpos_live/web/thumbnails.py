"""Images of looks: made when a look is stored, and, for a look without one, once it has been shown for a while."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from tpos_live.core.atomic import atomic_write
from tpos_live.core.errors import reason
from tpos_live.core.looks import Look, Show

SHIPPED = Path(__file__).with_name("thumbnails")
"""Images of the looks that come with the program, by `look_key`."""
_SETTLED = 2.0
"""Seconds after the end of a fade until the image of a look has settled."""
log = logging.getLogger(__name__)

MOST = 400
"""Most images that are kept; the oldest ones are removed."""
LARGEST = 200_000
"""Bytes; a larger file is not one of these images."""
_JPEG = b"\xff\xd8"


class Thumbnails:
    """The images of a show's looks. Thread contract: any thread may call any method, and read `numbers`, which is
    replaced as a whole."""

    def __init__(
        self, draw: Callable[[Callable[[bytes], None]], None], show: Show, kept: LookImages | None = None
    ) -> None:
        """draw: makes an image of what is shown now and passes it on (`preview.py::Preview.draw`). show: at the
        start. kept: images of earlier shows, and where new ones go."""
        self._draw = draw
        self._changing = threading.Lock()
        self._show = show
        self._kept = kept
        self._images = {look.name: image for look in show.looks if (image := self._known(look))}
        self.numbers: Mapping[str, int] = dict.fromkeys(self._images, 1)
        """Version of the image by the look's name, for looks that have an image."""
        self._recalled, self._since = "", 0.0

    def image(self, name: str) -> bytes | None:
        """The image of a look, JPEG; None where there is none."""
        return self._images.get(name)

    def follow(self, show: Show) -> None:
        """Make images of the looks that were stored, and forget those of deleted ones."""
        names = {look.name for look in show.looks}
        with self._changing:
            before, self._show = self._show, show
            self._images = {name: image for name, image in self._images.items() if name in names}
            self.numbers = {name: number for name, number in self.numbers.items() if name in names}
        old = {id(look) for look in before.looks}
        for look in show.looks:
            if id(look) not in old:
                self._make(look.name)

    def watch(self, recalled: str, fade: float, now: float) -> None:
        """Make an image of the recalled look, if it has none, when it has been shown for a while. Call it often; now:
        seconds of any steady clock."""
        if recalled != self._recalled:
            self._recalled, self._since = recalled, now
        elif recalled and recalled not in self._images and now - self._since >= fade + _SETTLED:
            self._since = now
            self._make(recalled)

    def _known(self, look: Look) -> bytes | None:
        """The image of a look that an earlier show has made, or the shipped one."""
        key = look_key(look)
        own = self._kept.get(key) if self._kept is not None else None
        return own or _shipped().get(key)

    def _make(self, name: str) -> None:
        def keep(jpeg: bytes) -> None:
            with self._changing:
                look = self._show.named(name)
                if look is None:  # deleted meanwhile
                    return
                self._images = {**self._images, name: jpeg}
                self.numbers = {**self.numbers, name: self.numbers.get(name, 0) + 1}
            if self._kept is not None:
                self._kept.put(look_key(look), jpeg)

        self._draw(keep)


def look_key(look: Look) -> str:
    """Name of the file of a look's image, without suffix: a hash of the look's values."""
    return hashlib.sha256(json.dumps(dict(look.values), sort_keys=True).encode()).hexdigest()[:16]


@cache
def _shipped() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in SHIPPED.glob("*.jpg")}


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
        for file in sorted(self._folder.glob("[!.]*.jpg"), key=_stored_at)[:-MOST]:
            with suppress(OSError):
                file.unlink()


def _stored_at(file: Path) -> float:
    """Seconds since 1970; 0 for a file that another show has just removed."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
