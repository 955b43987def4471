"""What `--output` understands, and how it is shown: without stream keys and passwords."""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import urlsplit

STREAMS = ("rtmp", "rtmps", "udp")
VIDEO = (".mp4", ".m4v", ".mkv")
"""Kinds of video file that are written."""
FORMS = "ndi:NAME, rtmp://HOST/APP/KEY, rtmps://…, udp://HOST:PORT or FILE.mp4 (.mkv)"


def parse_output(text: str) -> tuple[str, str]:
    """Kind and name of an output: "ndi:stage" is ("ndi", "stage"), "a.mp4" is ("file", "a.mp4"), a stream is its scheme
    and the whole address. Raises ValueError with what is wrong, without the stream's key."""
    text = text.strip()
    kind, _, name = text.partition(":")
    kind = kind.lower()
    if kind == "ndi" and name.strip():
        return kind, name.strip()
    if "://" in text:
        if kind == "srt":
            raise ValueError("srt:// is not available; send udp://127.0.0.1:PORT to a program that passes it on")
        if kind in STREAMS:
            _check_address(kind, text)
            return kind, text
    elif PurePath(text).suffix.lower() in VIDEO:
        return "file", text
    raise ValueError(f'{FORMS}, not "{masked(text)}"')


def masked(text: str) -> str:
    """An address without what nobody may read on a screen: user, password, stream key, options. Other texts as they
    are."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    rest, options, _ = rest.partition("?")
    host, _, path = rest.partition("/")
    app, key, _ = path.partition("/")
    shown = [host.rpartition("@")[2], *([app] if key else []), *(["***"] if path or options else [])]
    return f"{scheme}://{'/'.join(shown)}"


def _check_address(kind: str, text: str) -> None:
    """Raise ValueError for an address that cannot be sent to."""
    shown = masked(text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown} is no address: {FORMS}") from error
    if not host or port == 0:
        raise ValueError(f"{shown} names no host: {FORMS}")
    if kind == "udp" and port is None:
        raise ValueError(f"{shown} names no port: udp://HOST:PORT")
    if kind != "udp" and not parts.path.strip("/"):
        raise ValueError(f"{shown} names no application and key: {kind}://HOST/APP/KEY")
