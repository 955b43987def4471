"""What the director has decided so far, as far as a show that crashed continues with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any, Self

from tpos_live.director.framing import OPENING, Shot
from tpos_live.director.scene_table import KINDS


@dataclass(frozen=True)
class DirectorMemory:
    """The default is that of a show that begins. scene: text of the scene that shows the sound, "" for its own. kind:
    of music, one of KINDS, "" for none. palette: turns. hue: as of `Direction`. shot: where the frame stands. changes,
    choices, shots: scenes, choices of one, and shots so far; chance follows from them."""

    scene: str = ""
    kind: str = ""
    palette: float = 0.0
    shot: Shot = OPENING
    changes: int = 0
    choices: int = 0
    shots: int = 0
    hue: float = 0.0

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"shot": list(astuple(self.shot))}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """From `data`. Raises KeyError, TypeError, ValueError and OverflowError."""
        shot, palette, hue = Shot(*map(float, data["shot"])), float(data["palette"]), float(data.get("hue", 0.0))
        counts = {name: int(data[name]) for name in ("changes", "choices", "shots")}
        if not all(map(math.isfinite, (palette, hue, *astuple(shot)))):
            raise ValueError("the director's numbers")
        scene, kind = str(data["scene"]), str(data["kind"])
        scene, kind = (scene, kind) if kind in KINDS else ("", "")
        return cls(scene, kind, palette, shot, **counts, hue=hue)
