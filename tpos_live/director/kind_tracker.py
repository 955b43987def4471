"""The kind of music by the labels of the sound, for the director."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.director.scene_table import KINDS
from tpos_live.features.features import HOP_SECONDS

KIND_SECONDS = 4.0
"""Seconds for which the sound must be no music before the kind ends; half of it for the first music."""


@dataclass
class KindTracker:
    """One step per hop, with a debounce: a short sound of another kind changes nothing.

    kind: one of KINDS, "" for none. label: the newest label of the sound."""

    kind: str = ""
    label: str = ""
    _seconds: float = 0.0

    def step(self, label: str) -> None:
        """Take the label of a hop, "" in silence."""
        if label != self.label:
            self._seconds = self._seconds if (label in KINDS) == (self.label in KINDS) else 0.0
            self.label = label
        self._seconds += HOP_SECONDS
        if label and label in KINDS and (self.kind or self._seconds >= KIND_SECONDS / 2):
            self.kind = label
        elif label and label not in KINDS and self._seconds >= KIND_SECONDS:
            self.kind = ""  # in silence the kind of the last music stays
