"""Reads and writes a show file: looks, cues and MIDI mappings as TOML."""

from __future__ import annotations

import datetime
import json
import logging
import math
from pathlib import Path
from typing import Any

from tpos_live.core.atomic import write_text
from tpos_live.core.looks import (
    LONGEST_NAME,
    MOST_CUES,
    MOST_LOOKS,
    PARAMETERS,
    Cue,
    Look,
    Show,
    clean_name,
    whole_name,
)
from tpos_live.core.midi_map import MOST_MAPPINGS, MidiMapping, is_target, parse_mapping
from tpos_live.core.parameter import ParameterError, Value, shorten
from tpos_live.core.parameters import STARTS, TABLE
from tpos_live.core.settings_file import SettingsError, read_toml

log = logging.getLogger(__name__)

FORMAT = 1
HAD_NUMBER = "had_number"
LONGEST_FADE = 60.0
MOST_BYTES = 8 << 20
"""Largest file: MOST_LOOKS looks that set every parameter fit in."""


def read_show(path: Path) -> Show:
    """The show in a file. Raises SettingsError: file, place and allowed values, in one line.

    Parameters of a newer version are kept without effect; a warning names them once.
    """
    data, _ = read_toml(path, MOST_BYTES)
    version = data.get("format", FORMAT)
    if not isinstance(version, int) or isinstance(version, bool):
        raise SettingsError(f"{path}: format is a whole number, not {shorten(version)}")
    newer = " (the file is of a newer version)" if version > FORMAT else ""
    unknown_keys = sorted(set(data) - {"format", HAD_NUMBER, "look", "cue", "midi"})
    if unknown_keys:
        raise SettingsError(f"{path}: {unknown_keys[0]}: a show file has format, [[look]], [[cue]] and [[midi]]{newer}")
    had_number = data.get(HAD_NUMBER, False)
    if not isinstance(had_number, bool):
        raise SettingsError(f"{path}: {HAD_NUMBER} is true or false, not {shorten(had_number)}")
    looks = tuple(_look(path, n, entry) for n, entry in enumerate(_tables(path, data, "look", MOST_LOOKS), 1))
    names = [look.name.lower() for look in looks]
    for look in looks:
        if names.count(look.name.lower()) > 1:
            raise SettingsError(f"{path}: two looks are called {look.name}; rename one")
    show = Show(looks, had_number=had_number)
    cues = tuple(_cue(path, n, entry, show) for n, entry in enumerate(_tables(path, data, "cue", MOST_CUES), 1))
    midi = tuple(_mapping(path, n, entry) for n, entry in enumerate(_tables(path, data, "midi", MOST_MAPPINGS), 1))
    unknown_targets = {mapping.target for mapping in midi if not is_target(mapping.target)}
    unknown = sorted(unknown_targets.union(*(look.unknown for look in looks)))
    if unknown:
        log.warning(f"{path}: not known here, kept and left alone: {', '.join(unknown[:5])}{newer}")
    return Show(looks, cues, midi, had_number, max(version, FORMAT))


def write_show(path: Path, show: Show, private: bool = False) -> None:
    """Write a show atomically. private: no other user may read it.

    Raises OSError, and ValueError for a show that is too large to be read again.
    """
    lines = ["# Looks and cues of tpos-live. A look holds what differs from the defaults.", f"format = {show.version}"]
    if show.had_number:
        lines += ["# A look that was deleted had a number for its name.", f"{HAD_NUMBER} = true"]
    for look in show.looks:
        lines += ["", "[[look]]", f"name = {_toml(look.name)}", "[look.parameters]"]
        values = {name: _short(value) for name, value in look.values.items()}
        lines += [f"{_toml(name)} = {_toml(value)}" for name, value in {**values, **look.unknown}.items()]
    for cue in show.cues:
        lines += [
            "",
            "[[cue]]",
            f"look = {_toml(cue.look)}",
            f"fade = {_short(cue.fade)}",
            f"start = {_toml(cue.start)}",
        ]
    for mapping in show.midi:
        lines += ["", "[[midi]]", *(f"{key} = {_toml(value)}" for key, value in mapping.entry().items())]
    text = "\n".join(lines) + "\n"
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB; delete the looks with the longest prompts")
    write_text(path, text, private)


def _tables(path: Path, data: dict[str, Any], name: str, most: int) -> list[dict[str, Any]]:
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise SettingsError(f"{path}: {name} is a list: begin each with [[{name}]]")
    if len(found) > most:
        raise SettingsError(f"{path}: {len(found)} of [[{name}]]; {most} is the most")
    return found


def _look(path: Path, number: int, entry: dict[str, Any]) -> Look:
    where = f"{path}: look {number}"
    name = entry.get("name")
    if not isinstance(name, str) or not 0 < len(whole_name(name)) <= LONGEST_NAME:
        raise SettingsError(f"{where}: name is a text of 1 to {LONGEST_NAME} letters")
    unknown_keys = sorted(set(entry) - {"name", "parameters"})
    if unknown_keys:
        raise SettingsError(f"{where} ({name}): {unknown_keys[0]}: a look has name and [look.parameters]")
    given = entry.get("parameters", {})
    if not isinstance(given, dict):
        raise SettingsError(f"{where} ({name}): [look.parameters] is a table")
    values: dict[str, Value] = {}
    unknown: dict[str, object] = {}
    for key, value in _flat(given).items():
        if key not in TABLE:
            unknown[key] = value
        elif key not in PARAMETERS:
            raise SettingsError(f"{where} ({name}): {key} is not part of a look; delete it")
        else:
            try:
                values[key] = TABLE[key].parse(value)
            except ParameterError as error:
                raise SettingsError(f"{where} ({name}): {error}") from error
    return Look(clean_name(name), values, unknown)


def _cue(path: Path, number: int, entry: dict[str, Any], show: Show) -> Cue:
    where = f"{path}: cue {number}"
    unknown_keys = sorted(set(entry) - {"look", "fade", "start"})
    if unknown_keys:
        raise SettingsError(f"{where}: {unknown_keys[0]}: a cue has look, fade and start")
    look, fade, start = entry.get("look"), entry.get("fade", 2.0), entry.get("start", "now")
    found = show.find(look) if isinstance(look, str) else None
    if found is None:
        raise SettingsError(f"{where}: there is no look {shorten(look)}")
    number_given = isinstance(fade, int | float) and not isinstance(fade, bool)
    if not number_given or not 0 <= fade <= LONGEST_FADE:
        raise SettingsError(f"{where}: fade is 0 to {LONGEST_FADE:g} seconds, not {fade!r}")
    if start not in STARTS:
        raise SettingsError(f"{where}: start is one of {', '.join(STARTS)}, not {start!r}")
    return Cue(found.name, float(fade), start)  # the name, because a number would mean another look after a deletion


def _mapping(path: Path, number: int, entry: dict[str, Any]) -> MidiMapping:
    try:
        return parse_mapping(entry)
    except ValueError as error:
        raise SettingsError(f"{path}: midi {number}: {error}") from error


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a table to the parameters' names: finish.light without quotes is a nested table."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _short(value: Value) -> Value:
    """Round a float to six digits, which are finer than any fader: OSC brings 0.3 as 0.30000001192092896."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _toml(value: object) -> str:
    """A value as TOML. Unknown parameters may have any TOML type."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    # A lone surrogate, which a command line may contain, is not valid in UTF-8.
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
    return text.replace("\x7f", "\\u007f")
