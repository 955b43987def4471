"""Parses the texts of `--output`, and prints them without stream keys and passwords."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from urllib.parse import urlsplit

from tpos_live.core.output_view import OutputView, split_view

STREAMS = ("rtmp", "rtmps", "udp")
VIDEO = (".mp4", ".m4v", ".mkv")
"""Suffixes of video files that can be written."""
NAMED = ("ndi", "spout", "syphon")
"""Kinds of output that other programs find by name."""
PROGRAMS = (*NAMED, "camera")
"""Kinds of output that other programs take frames from."""
SCREEN = "screen"
"""The kind of output that is a window on another screen."""
FORMS = (
    "screen:NUMBER, ndi:NAME, spout:NAME, syphon:NAME, camera, rtmp://HOST/APP/KEY, rtmps://…, udp://HOST:PORT or "
    "FILE.mp4 (.mkv)"
)
_EXAMPLE = "screen:1, or screen:1,2 tile=2x1"


@dataclass(frozen=True)
class OutputSpec:
    """One output. kind: SCREEN, one of PROGRAMS, "file" or the scheme of a stream. address: number or name of a screen,
    name or device, path, or the whole address."""

    kind: str
    address: str
    view: OutputView = field(default_factory=OutputView)

    @property
    def name(self) -> str:
        """Name for messages, status and test card, without the stream key."""
        if self.kind in (*PROGRAMS, SCREEN):
            return f"{self.kind}:{self.address}" if self.address else self.kind
        return masked(self.address)


def parse_output(text: str) -> list[OutputSpec]:
    """The outputs of a text: one, or with tile= one per part, with the names "wall 1", "wall 2" …, or on the listed
    screens: "screen:1,2 tile=2x1".

    Raises ValueError with the reason, without the stream key.
    """
    name, views = split_view(text.strip())
    kind, address = _kind(name)
    if kind == SCREEN:
        return _on_screens(address, views)
    if len(views) == 1:
        return [OutputSpec(kind, address, views[0])]
    if kind not in NAMED:
        raise ValueError(
            f"tile= is for {', '.join((SCREEN, *NAMED))}, whose parts have names; take crop= for {masked(name)}"
        )
    return [OutputSpec(kind, f"{address} {n}", part) for n, part in enumerate(views, 1)]


def check_outputs(texts: list[str]) -> list[str]:
    """The texts of all outputs. Raises ValueError where two go to one place; a file that is named twice gets a
    number."""
    taken = set()
    for spec in (spec for text in texts for spec in parse_output(text) if spec.kind != "file"):
        if (place := (spec.kind, spec.address)) in taken:
            raise ValueError(f"{spec.name} is named twice; give each output a place of its own")
        taken.add(place)
    return texts


def _on_screens(names: str, views: list[OutputView]) -> list[OutputSpec]:
    screens = [name.strip() for name in names.split(",")]
    count = len(views)
    if not all(screens) or len(set(screens)) != count or len(screens) != count:
        raise ValueError(f"screen:{names} does not name {count} screen{'s' * (count > 1)}: {_EXAMPLE}")
    return [OutputSpec(SCREEN, screen, part) for screen, part in zip(screens, views, strict=True)]


def _kind(text: str) -> tuple[str, str]:
    """Kind and address of an output without its view."""
    kind, _, name = text.partition(":")
    kind = kind.lower()
    if kind == SCREEN or (kind in PROGRAMS and (name.strip() or kind not in NAMED)):
        return kind, name.strip()
    if "://" in text:
        if kind == "srt":
            raise ValueError("srt:// is not available; send udp://127.0.0.1:PORT to a program that passes it on")
        if kind in STREAMS:
            _check_address(kind, text)
            return kind, text
    elif PurePath(text).suffix.lower() in VIDEO:
        return "file", text
    raise ValueError(f'{FORMS}, not "{masked(text)[:100]}"')


def masked(text: str) -> str:
    """A URL without its secrets: user, password, stream key, options. Other texts are returned unchanged."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    rest, options, _ = rest.partition("?")
    host, _, path = rest.partition("/")
    app, key, _ = path.partition("/")
    shown = [host.rpartition("@")[2], *([app] if key else []), *(["***"] if path or options else [])]
    return f"{scheme}://{'/'.join(shown)}"


def _check_address(kind: str, text: str) -> None:
    """Raise ValueError for an invalid stream URL."""
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
