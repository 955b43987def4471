"""Reads a TOML file of settings. Every error is one line with the remedy."""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tpos_live.core.errors import reason

MOST_BYTES = 1 << 20
"""A settings file has about 10 KiB; a larger file is of another kind."""
MOST_NESTED = 8
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte-order marks that Windows editors write. UTF-32 first: its mark begins with that of UTF-16."""
_HINTS = (
    ("Cannot declare", "a section is written once: put these lines below the [section] that is there"),
    ("Cannot", 'a key is written once, and a parameter with a dot in its name in quotes: "prompt.1" = "…"'),
    ("Unescaped", r"write a path with \ in single quotes: 'C:\sets\a.mp4'"),
    ("hex value", r"write a path with \ in single quotes: 'C:\sets\a.mp4'"),
    ("Illegal character", "a text ends with a quote on the same line"),
    ("Invalid value", 'write a text in straight quotes: "neon jellyfish"; a switch is true or false'),
    ("Expected newline", 'write a text in straight quotes: "neon jellyfish"; a switch is true or false'),
    ("Unclosed array", "a list ends with ]"),
    ("key", "a line is a [section] or name = value, and # begins a comment"),
)
"""(part of tomllib's message, remedy for users who do not know TOML); the first match counts."""
_DOTTED = re.compile(r"^(\s*)([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)(\s*=)", re.MULTILINE)


class SettingsError(ValueError):
    """A setting is wrong: file, line, key and what is allowed, in one line."""

    def __init__(self, text: str) -> None:
        super().__init__("".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split())))


def read_toml(path: Path, most: int = MOST_BYTES) -> tuple[dict[str, Any], str]:
    """The table in a TOML file, and the file's text. Raises SettingsError, also for more than `most` bytes or
    MOST_NESTED levels."""
    text = _text(path, most)
    try:
        data = _parse(text)
    except RecursionError as error:
        raise SettingsError(f"{path}: lists or tables are nested too deep; {MOST_NESTED} is the most") from error
    except ValueError as error:  # besides TOML errors, an integer of more digits than Python reads
        known = (hint for part, hint in _HINTS if part in str(error))
        hint = "it has NUL bytes: save it as UTF-8 text" if "\0" in text else next(known, "")
        raise SettingsError(f"{path}: not valid TOML: {error}{hint and '; '}{hint}") from error
    if _depth(data) > MOST_NESTED:
        raise SettingsError(f"{path}: lists or tables are nested too deep; {MOST_NESTED} is the most")
    return data, text


def line_of(text: str, path: list[str]) -> int:
    """Line number of a key in a TOML text, 0 if it is not found."""
    section: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+([^\]]+)\]", line)
        if header:
            section = _parts(header[1])
            if path == section:
                return number
            continue
        key = re.match(r"""\s*((?:"[^"]*"|'[^']*'|[\w.-]|\s*\.\s*)+?)\s*=""", line)
        if key and ".".join([*section, *_parts(key[1])]) == ".".join(path):
            return number
    return 0


def _parts(key: str) -> list[str]:
    return [quoted or plain for quoted, plain in re.findall(r"""["']([^"']*)["']|([\w-]+)""", key)]


def _text(path: Path, most: int) -> str:
    # A pipe that a shell makes has a writer; one on the disk may wait for a writer forever.
    if Path(os.path.realpath(path)).is_fifo() and not path.is_relative_to("/dev"):
        raise SettingsError(f"{path}: is a pipe; name a TOML file")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({reason(error)}); name a TOML file") from error
    if len(data) > most:
        raise SettingsError(f"{path}: larger than {most >> 20} MiB, so no settings file; name a TOML file")
    mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: cannot be read (not UTF-8 text); save it as UTF-8") from error


def _parse(text: str) -> dict[str, Any]:
    """Parse TOML in which names below [parameters] need no quotes.

    In TOML, `prompt.1 = "x"` is a key in a table `prompt`, which fails if `prompt` is a text. So after an error such
    names are put in quotes, and the text is parsed again; line numbers stay the same.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as first:
        begin = re.search(r"^\s*\[parameters\]", text, re.MULTILINE)
        if begin is None:
            raise
        end = re.search(r"^\s*\[(?!parameters\])", text[begin.end() :], re.MULTILINE)
        stop = begin.end() + end.start() if end else len(text)
        section = _DOTTED.sub(r'\1"\2"\3', text[begin.end() : stop])
        try:
            return tomllib.loads(text[: begin.end()] + section + text[stop:])
        except ValueError:
            raise first from None


def _depth(data: Mapping[str, Any]) -> int:
    deepest = 0
    todo: list[tuple[Any, int]] = [(data, 1)]
    while todo:
        value, depth = todo.pop()
        deepest = max(deepest, depth)
        inside = value.values() if isinstance(value, Mapping) else value
        todo += [(item, depth + 1) for item in inside if isinstance(item, Mapping | list)]
    return deepest
