"""What waits for the next beat or bar while the parameter `quantise` is on: new prompts and another seed.

Faders are never delayed, and neither is anything that makes a stage safe (blackout, freeze, level, panic, reset).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tpos_live.core.shown import PROMPT, SELECT, SLOTS

QUANTISE = "quantise"
OFF = "off"
GRIDS = (OFF, "beat", "bar", "4 bars")
"""Choices of the parameter."""
WAITING_TRIGGERS = ("seed.random",)
"""Triggers that wait; those of looks wait in the look player, and director.next waits for a bar anyway."""
_WEIGHTED = "prompt.{}.weight"
_GROUP = frozenset(
    (PROMPT, SELECT, "prompt.negative", "prompt.fade", *(f"prompt.{n}" for n in SLOTS), *map(_WEIGHTED.format, SLOTS))
)
"""Parameters that are held together: a prompt with its fade and weights."""


def waiting_part(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `new`, values that were set together, that waits: all of a prompt, if it changes what is shown.

    The text of a slot that nobody sees fills the bank at once, and a weight that moves alone is a fader.
    """
    if old[QUANTISE] == OFF:
        return {}
    seen = [n for n in SLOTS if n == old[SELECT] or old[_WEIGHTED.format(n)] > 0]
    words = {PROMPT, SELECT, "prompt.negative", *(f"prompt.{n}" for n in seen)}
    return {name: value for name, value in new.items() if name in _GROUP} if words & new.keys() else {}
