"""The scene families: each a function of noise fields and parameters to light, with its names."""

from __future__ import annotations

from tpos_live.scenes import (
    elements,
    geometry,
    land,
    life,
    light_show,
    material,
    matter,
    night,
    signal,
    sky,
    space,
    weather,
)
from tpos_live.scenes.base import Family

FAMILIES: dict[str, Family] = {
    **elements.FAMILIES,
    **sky.FAMILIES,
    **space.FAMILIES,
    **weather.FAMILIES,
    **land.FAMILIES,
    **night.FAMILIES,
    **matter.FAMILIES,
    **life.FAMILIES,
    **light_show.FAMILIES,
    **geometry.FAMILIES,
    **signal.FAMILIES,
    **material.FAMILIES,
}
"""Names are lower case with underscores and are a contract (`engines/ember/families.toml`)."""
