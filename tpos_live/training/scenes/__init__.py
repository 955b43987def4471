"""The scene families: each a function of fields and knobs to light."""

from __future__ import annotations

from tpos_live.training.palettes import Stops, dominant_hue
from tpos_live.training.scenes import elements, sky, space
from tpos_live.training.scenes.stage import Knobs, Light, Scene

FAMILIES: dict[str, Scene] = {
    "fire": elements.fire,
    "ocean": elements.ocean,
    "underwater": elements.underwater,
    "ink_in_water": elements.ink_in_water,
    "aurora": sky.aurora,
    "storm": sky.storm,
    "clouds": sky.clouds,
    "mountains": sky.mountains,
    "nebula": space.nebula,
    "galaxy": space.galaxy,
    "tunnel": space.tunnel,
    "city_at_night": space.city_at_night,
}
"""Names are lower case with underscores and are a contract (`engines/ember/families.toml`)."""

_MAIN: dict[str, Stops] = {
    "fire": elements.FIRE,
    "ocean": elements.SEA,
    "underwater": elements.DEEP,
    "ink_in_water": elements.PAPER,
    "aurora": sky.CURTAIN,
    "storm": sky.GLOOM,
    "clouds": sky.DAY,
    "mountains": sky.EVENING,
    "nebula": space.GAS,
    "galaxy": space.DISC,
    "tunnel": space.TUBE,
    "city_at_night": space.LAMP,
}
DOMINANT: dict[str, float] = {name: dominant_hue(stops) for name, stops in _MAIN.items()}
"""Hue in degrees that a colour word replaces."""

DRIFT: dict[str, float] = {
    "fire": 14.0, "ocean": 22.0, "underwater": 35.0, "ink_in_water": 45.0, "aurora": 35.0, "storm": 25.0,
    "clouds": 22.0, "mountains": 22.0, "nebula": 40.0, "galaxy": 40.0, "tunnel": 45.0, "city_at_night": 30.0,
}  # fmt: skip
"""Degrees that the hue scalar turns a palette either way; 180 would be the whole circle."""

__all__ = ["DOMINANT", "DRIFT", "FAMILIES", "Knobs", "Light", "Scene"]
