"""The table of all scene families."""

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
"""Names are lower case with underscores. Do not change them: `engines/ember/families.toml` and show files use them."""
