"""Writes `config.toml`: `python -m tpos_live.core.config_text > config.toml`."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from tpos_live.core.parameters import RANDOM_START, TABLE
from tpos_live.core.settings import Settings


def config_text() -> str:
    """The text of `config.toml`: every setting and every live parameter with its default and a comment."""
    lines = [
        "# tpos-live: every setting with its default. Delete what you do not change.",
        "# Order, strongest first: command line, --config FILE, ./config.toml, built-in defaults.",
        "",
    ]
    sections = []
    for name, field in Settings.model_fields.items():
        if name == "parameters":
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections.append((name, field.annotation))
        else:
            lines += [f"# {field.description}", f"{name} = {_toml(field.get_default())}"]
    for name, model in sections:
        lines += ["", f"[{name}]  # {(model.__doc__ or '').strip().rstrip('.').lower()}"]
        for key, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            lines += [f"# {field.description}{_range(field)}", f"{key} = {_toml(default)}"]
    lines += [
        "",
        "[parameters]  # start values of live parameters; OSC and keys change them during a show",
        "# map.<feature>.<target>: how far a feature of the sound moves the image; .curve is the exponent,",
        "# .attack and .release are in seconds. Here are those that do something when nobody has touched them.",
    ]
    for parameter in TABLE.values():
        if parameter.kind == "trigger" or (parameter.name.startswith("map.") and not _map_in_use(parameter.name)):
            continue
        about = parameter.text
        if parameter.choices:
            about += f" ({', '.join(parameter.choices)})"
        elif parameter.kind in ("int", "float"):
            most = int(parameter.high) if parameter.high == round(parameter.high) else parameter.high
            about += f" ({parameter.low:g} to {most}{' ' + parameter.unit if parameter.unit else ''})"
        unset = "# " if parameter.name in RANDOM_START else ""
        lines += [f"# {about}", f'{unset}"{parameter.name}" = {_toml(parameter.default)}']
    return "\n".join(lines) + "\n"


def _map_in_use(name: str) -> bool:
    pair = ".".join(name.split(".")[:3])
    return TABLE[pair].default != 0


def _range(field: Any) -> str:
    bounds = {name: getattr(m, name) for m in field.metadata for name in ("ge", "le") if hasattr(m, name)}
    return f" ({bounds['ge']:g} to {bounds['le']:g})" if len(bounds) == 2 else ""


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    print(config_text(), end="")
