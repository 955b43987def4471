"""Loads the settings: merges `config.toml` and the command line into one frozen tree.

Order, strongest first: command line, `--config FILE`, `./config.toml`, the defaults of `settings.py`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tpos_live.core.output_names import masked
from tpos_live.core.parameter import ParameterError, shorten
from tpos_live.core.parameters import TABLE
from tpos_live.core.settings import Settings
from tpos_live.core.settings_file import SettingsError, line_of, read_toml
from tpos_live.core.shown import PROMPT, SELECT, WEIGHTS, is_prompt


def load_settings(overrides: Mapping[str, Any], config: Path | None = None, here: Path | None = None) -> Settings:
    """Read the configuration files, and override them by the command line.

    overrides: dotted keys such as "sound.device" with values that are not None; a key that starts with
    "parameters." sets the start value of a live parameter. config: the file named by `--config`.
    here: folder of `./config.toml` (default: the current one). Raises SettingsError.
    """
    merged: dict[str, Any] = {}
    for path in (Path(here or ".") / "config.toml", config):
        if path is None or (path is not config and not os.path.lexists(path)):
            continue
        _merge(merged, _read(path))
    _drop_default_prompts(merged)
    tree: dict[str, Any] = {}
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        if name:
            tree.setdefault(section, {})[name] = value
        else:
            tree[key] = value
    _last_wins(merged, overrides)
    _merge(merged, _validate(tree, "command line", ""))
    return Settings.model_validate(merged)


def _drop_default_prompts(merged: dict[str, Any]) -> None:
    """Remove prompts that equal their defaults, because config.toml lists all defaults and must not select one."""
    if parameters := merged.get("parameters"):
        merged["parameters"] = {
            name: value for name, value in parameters.items() if not is_prompt(name) or value != TABLE[name].default
        }


def _last_wins(merged: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Let a prompt on the command line override a slot that a file selects or gives weight (`shown.py`)."""
    parameters = merged.get("parameters")
    if isinstance(parameters, dict) and f"parameters.{PROMPT}" in overrides:
        for name in (SELECT, *WEIGHTS):
            parameters.pop(name, None)


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _read(path: Path) -> dict[str, Any]:
    data, text = read_toml(path)
    return _validate(data, str(path), text)


def _validate(data: dict[str, Any], where: str, text: str) -> dict[str, Any]:
    """The data with parsed live parameters. Raises SettingsError with line, key and remedy."""
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"] if not isinstance(part, int)]
        raise SettingsError(f"{_place(where, text, path)}: {_explain(first, path)}") from error
    parsed = {}
    for name, value in _flatten(settings.parameters):
        place = _place(where, text, ["parameters", name])
        parameter = TABLE.get(name)
        if parameter is None or parameter.kind == "trigger":
            near = difflib.get_close_matches(name[:100], TABLE, n=1, cutoff=0.8)
            hint = f"did you mean {near[0]}?" if near and parameter is None else "`tpos-live --list-osc` lists them"
            raise SettingsError(f"{place}: no such parameter; {hint}")
        try:
            parsed[name] = parameter.parse(value)
            if not parameter.allows(value):
                raise ParameterError(f"allowed is {parameter.allowed}, not {shorten(value)}")
        except ParameterError as error:
            raise SettingsError(f"{place}: {error}") from error
    return {**data, "parameters": parsed} if parsed else data


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of parameters, which may be written "map.kick.zoom" or, as nested TOML tables, map.kick.zoom."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _place(where: str, text: str, path: list[str]) -> str:
    key = ".".join(path)
    line = line_of(text, path)
    return f"{where}, line {line}, {key}" if line else f"{where}, {key}"


def _explain(error: Any, path: list[str]) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), _shown(error["input"])
    if kind == "extra_forbidden":
        names = _allowed(path[:-1])
        allowed = ", ".join(names)
        if path[-1] in TABLE or any(name.startswith(f"{path[-1]}.") for name in TABLE):
            return f"live parameters are written below [parameters]; allowed here: {allowed}"
        near = difflib.get_close_matches(path[-1][:100], names, n=1, cutoff=0.75)
        return "unknown key; " + (f"did you mean {near[0]}?" if near else f"allowed here: {allowed}")
    if kind.endswith(("_type", "_parsing")):
        wanted = kind.removesuffix("_type").removesuffix("_parsing")
        return f"takes {_KINDS.get(wanted, 'a ' + wanted)}, not {given}"
    if kind == "value_error":
        reason = str(context.get("error"))
        return reason if _names(reason, error["input"]) else f"{reason}, not {given}"
    limits = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for bound, words in limits.items():
        if bound in context:
            return f"allowed is {words} {context[bound]:g}, not {given}"
    return f"{error['msg']}, not {given}"


def _shown(value: object) -> str:
    """A value as text for a message, without a stream key."""
    if isinstance(value, list):
        value = [masked(part) if isinstance(part, str) else part for part in value]
    return shorten(masked(value) if isinstance(value, str) else value)


def _names(line: str, value: object) -> bool:
    """Whether a line already contains the given value."""
    if isinstance(value, str):
        text = masked(value)
        return f'"{text}"' in line or (":" in text and text in line)
    if not isinstance(value, list):
        return False
    words = [re.escape(masked(part).partition(" ")[0]) if isinstance(part, str) else str(part) for part in value]
    return any(re.search(rf"(?<!\w){word}(?!\w)", line) for word in words if word)


_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "a text in quotes",
    "list": "a list in []",
    "model": "keys of its own: write it as a [section]",
    "dict": "keys of its own: write it as a [section]",
}


def _allowed(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        model = annotation
    return list(model.model_fields)
