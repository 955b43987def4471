"""Requests of pages: parses messages in JSON, and applies them to the parameters."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tpos_live.control.keys import apply_key
from tpos_live.control.triggers import fire
from tpos_live.core.parameter import ParameterError, Value, shorten
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE

MOST_VALUES = 2000
_WORDS = ("set", "fire", "key", "shift", "preview", "shown")


class RequestError(ValueError):
    """A message that cannot be used, in one line."""


@dataclass(frozen=True)
class Request:
    """values: parameters to set as one change. triggers: to fire. key: pressed on the page, "" for none. preview: begin
    or end it, None = neither. shown: number of images of the preview that the page has shown
    since its last message."""

    values: dict[str, Value] = field(default_factory=dict)
    triggers: tuple[str, ...] = ()
    key: str = ""
    shift: bool = False
    preview: bool | None = None
    shown: int = 0


def read(message: str | bytes) -> Request:
    """The request in a message. Raises RequestError with one line."""
    if not isinstance(message, str):
        raise RequestError("a page sends text, not bytes")
    try:
        data = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{shorten(message, 40)} is no JSON") from error
    if not isinstance(data, dict):
        raise RequestError(f"a message is an object, not {shorten(data, 40)}")
    if strange := sorted(set(data) - set(_WORDS)):
        raise RequestError(f"{shorten(strange[0], 40)} is unknown; a message has {', '.join(_WORDS)}")
    return Request(
        values=_values(data.get("set", {})),
        triggers=_triggers(data.get("fire", [])),
        key=_typed(data, "key", ""),
        shift=_typed(data, "shift", False),
        preview=_typed(data, "preview", None, bool),
        shown=_typed(data, "shown", 0),
    )


def carry_out(request: Request, store: ParameterStore) -> None:
    """Apply values, triggers and key of a request to the parameters. Any thread may call it."""
    if request.values:
        store.update(request.values)
    for name in request.triggers:
        fire(store, name)
    if request.key:
        apply_key(request.key, ["shift"] if request.shift else [], store)


def _values(given: Any) -> dict[str, Value]:
    if not isinstance(given, dict) or len(given) > MOST_VALUES:
        raise RequestError(f"set takes an object of names and values, at most {MOST_VALUES}")
    values = {}
    for name, value in given.items():
        parameter = TABLE.get(name)
        if parameter is None:
            raise RequestError(f"there is no parameter {shorten(name, 40)}")
        if parameter.kind == "trigger":
            raise RequestError(f"{name} is a trigger: fire it")
        try:
            parsed = parameter.parse(value)
        except ParameterError as error:
            raise RequestError(str(error)) from error
        if not parameter.allows(value):
            low = "0 or " if parameter.off_below else ""
            raise RequestError(f"{name} takes {low}{parameter.allowed}, not {shorten(value, 20)}")
        values[name] = " ".join(parsed.split()) if isinstance(parsed, str) else parsed
    return values


def _triggers(given: Any) -> tuple[str, ...]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or len(names) > 100:
        raise RequestError("fire takes the name of a trigger, or a list of at most 100")
    for name in names:
        if not isinstance(name, str) or name not in TABLE or TABLE[name].kind != "trigger":
            raise RequestError(f"there is no trigger {shorten(name, 40)}")
    return tuple(names)


def _typed(data: dict[str, Any], name: str, default: Any, kind: type | None = None) -> Any:
    value = data.get(name, default)
    wanted = kind or type(default)
    if value is not default and type(value) is not wanted:
        words = {str: "a text", bool: "true or false", int: "a whole number"}
        raise RequestError(f"{name} takes {words[wanted]}, not {shorten(value, 40)}")
    return value
