"""From the text of the parameter `source` to a reader, and the rules which sources are allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tpos_live.core.output_names import masked
from tpos_live.image_source.camera import STREAMS, TEST_PICTURES, Camera
from tpos_live.image_source.clip import Clip
from tpos_live.image_source.ndi_source import NDI, open_ndi
from tpos_live.image_source.pictures import SUFFIXES, Pictures, pictures_in
from tpos_live.image_source.reader import Reader, SourceError

NOTHING = ("", "none")
SCENE = "scene:"
"""Prefix of the names of scenes, which are drawn and not read (see `runtime.scene_source`)."""
_NO_SRT = "PyAV's FFmpeg has no SRT: let a program pass it on, as srt-live-transmit does, and take udp://127.0.0.1:PORT"
Opener = Callable[[str, float], Reader]
"""From the text of `source` and the seconds per picture of a folder to a reader. May take seconds, raises SourceError.
"""


def short_name(name: str) -> str:
    """The last 57 characters of a name, for messages, because a path's end says most; passwords are masked."""
    name = masked(name)
    return name if len(name) <= 60 else f"...{name[-57:]}"


def is_live(name: str) -> bool:
    """Whether a source has no timeline of its own (cameras, streams), so that an offline render cannot repeat it."""
    return name == "camera" or name.startswith(("camera:", TEST_PICTURES, NDI, *STREAMS))


def is_gone(name: str) -> bool:
    """Whether a source is a file that does not exist, or a folder without pictures."""
    if is_live(name) or name.startswith(SCENE):
        return False
    try:
        path = Path(name).expanduser()
        return not (path.is_file() or (path.is_dir() and pictures_in(path)))
    except (OSError, ValueError, RuntimeError):
        return True


def why_refused(name: str, first: str, folder: Path) -> str:
    """Why a show whose controls are open to the network refuses a source, one line; "" if it allows it.

    Without this rule, a sender of OSC could open any file of this machine and any address that it reaches. Allowed are
    cameras, scenes, `first` (the source that the show was started with) and files in `folder`.
    """
    if name in NOTHING or name == first or name == "camera" or name.startswith(("camera:", SCENE)):
        return ""
    if not is_live(name):
        try:
            if Path(name).expanduser().resolve().is_relative_to(folder.resolve()):
                return ""
        except (OSError, ValueError, RuntimeError):
            pass
    where = folder.resolve()
    reason = "the controls are open to the network"
    return f"source {short_name(name)}: {reason}, so only cameras, scenes and files in {where} are taken"


def open_source(name: str, seconds_each: float) -> Reader:
    """The reader for a source. seconds_each: seconds per picture of a folder. May take seconds. Raises SourceError."""
    name = name.strip()
    if name.startswith(NDI):
        return open_ndi(name)
    if name.startswith("srt://"):
        return Camera(name, remedy=_NO_SRT)
    if is_live(name):
        return Camera(name)
    try:
        path = Path(name).expanduser()
        if path.is_dir() or (path.is_file() and path.suffix.lower() in SUFFIXES):
            return Pictures(path, seconds_each)
        if path.is_file():
            return Clip(path)
        if path.exists():
            raise SourceError(f"source {short_name(name)}: is a device or a pipe; name a video, a picture or a folder")
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"source {short_name(name)}: cannot be read ({why[:100]})") from error
    raise SourceError(
        f"source {short_name(name)}: there is no such file; "
        "use camera, camera:NAME, ndi:NAME, scene:NAME, a video, a picture, a folder or none"
    )
