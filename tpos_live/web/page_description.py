"""The parameter table by groups, as plain data, from which a page draws its controls."""

from __future__ import annotations

from typing import Any

from tpos_live.core.parameter import Parameter
from tpos_live.core.parameters import FEATURES, TABLE, TARGETS

GROUPS = {
    "Image": ("seed", "strength", "steps", "guidance", "lora", "intensity", "pause", "reset"),
    "Motion": ("motion",),
    "Finish": ("finish",),
    "Sound": ("audio",),
    "Tempo": ("tempo", "quantise"),
    "Director": ("director",),
    "Looks": ("look", "autopilot"),
    "Prompt": ("prompt",),
    "Output": ("out",),
    "Walls": ("out.wall",),
    "MIDI": ("midi",),
}
"""Groups by title: the first word or two words of their parameters' names. Other names get a group of their own."""


def describe() -> dict[str, Any]:
    """groups: title and parameters. map: features, targets, and the parameters that each pair has besides its depth."""
    groups: dict[str, list[dict[str, Any]]] = {title: [] for title in GROUPS}
    titles = {first: title for title, words in GROUPS.items() for first in words}
    for parameter in TABLE.values():
        first, *more = parameter.name.split(".")
        title = titles.get(".".join([first, *more[:1]])) or titles.get(first, first.capitalize())
        if first != "map":
            groups.setdefault(title, []).append(_parameter(parameter))
    parts = {part: _parameter(TABLE[f"map.level.zoom.{part}"]) for part in ("curve", "attack", "release")}
    return {
        "groups": [{"title": title, "parameters": parameters} for title, parameters in groups.items() if parameters],
        "map": {
            "features": dict(FEATURES),
            "targets": {name: [low, high, unit, text] for name, (low, high, unit, text) in TARGETS.items()},
            "parts": parts,
        },
    }


def _parameter(p: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {"name": p.name, "kind": p.kind, "text": p.text}
    if p.kind in ("float", "int"):
        described |= {"low": 0 if p.off_below else p.low, "high": p.high, "unit": p.unit}
        if p.off_below:
            described["off_below"] = p.low
    if p.choices:
        described["choices"] = p.choices
    if p.kind != "trigger":
        described["default"] = p.default
    return described
