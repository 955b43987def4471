"""The director's state that a show restores after a crash (`runtime/autosave.py`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any, Self

from tpos_live.director.framing import OPENING, Shot
from tpos_live.director.scene_table import KINDS


@dataclass(frozen=True)
class DirectorMemory:
    """The default is the state at the start of a show. scene: text of the scene that shows the sound, "" for the
    sound's own scene. kind: of music, one of KINDS, "" for none. palette: turns. hue: target, 0 or 1. shot: the current
    one. changes, choices, shots: counts of scenes, of choices of a scene, and of shots; the random generators are
    seeded with them."""

    scene: str = ""
    kind: str = ""
    palette: float = 0.0
    shot: Shot = OPENING
    changes: int = 0
    choices: int = 0
    shots: int = 0
    hue: float = 0.0

    def data(self) -> dict[str, Any]:
        """The state as JSON values."""
        return asdict(self) | {"shot": list(astuple(self.shot))}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The state from the result of `data`. Raises KeyError, TypeError, ValueError and OverflowError."""
        shot, palette, hue = Shot(*map(float, data["shot"])), float(data["palette"]), float(data.get("hue", 0.0))
        counts = {name: int(data[name]) for name in ("changes", "choices", "shots")}
        if not all(map(math.isfinite, (palette, hue, *astuple(shot)))):
            raise ValueError("the director's numbers")
        scene, kind = str(data["scene"]), str(data["kind"])
        scene, kind = (scene, kind) if kind in KINDS else ("", "")
        return cls(scene, kind, palette, shot, **counts, hue=hue)
