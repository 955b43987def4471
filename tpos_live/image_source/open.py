"""From the text of `source` to a reader."""

from __future__ import annotations

from pathlib import Path

from tpos_live.image_source.camera import STREAMS, TEST_PICTURES, Camera
from tpos_live.image_source.clip import Clip
from tpos_live.image_source.pictures import SUFFIXES, Pictures
from tpos_live.image_source.reader import Reader, SourceError

NOTHING = ("", "none")


def is_live(name: str) -> bool:
    """Whether a source has no time of its own, so that no render can repeat it."""
    return name == "camera" or name.startswith(("camera:", TEST_PICTURES, *STREAMS))


def open_source(name: str, seconds_each: float) -> Reader:
    """seconds_each: of the pictures of a folder. May take seconds. Raises SourceError."""
    name = name.strip()
    if is_live(name):
        return Camera(name)
    short = name if len(name) <= 60 else f"...{name[-57:]}"
    try:
        path = Path(name).expanduser()
        if path.is_dir() or (path.is_file() and path.suffix.lower() in SUFFIXES):
            return Pictures(path, seconds_each)
        if path.is_file():
            return Clip(path)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"source {short}: cannot be read ({why[:100]})") from error
    raise SourceError(
        f"source {short}: there is no such file; use camera, camera:NAME, a video, a picture, a folder or none"
    )
