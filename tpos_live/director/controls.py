"""The parameters that control the director: the depths of its rules, a prompt, the request for another scene."""

from __future__ import annotations

from tpos_live.core.envelope import follow
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.shown import shown_text
from tpos_live.features.features import HOP_SECONDS

DEPTHS = ("scenes", "cuts", "area", "framing", "camera", "palette")
DEPTH_SECONDS = 0.3
"""Time constant with which a depth follows its parameter, so that a fader causes no jump."""


class DirectorControls:
    """One step per hop. Belongs to the director's thread."""

    def __init__(self) -> None:
        self.has_prompt = False
        self._next_count: int | None = None
        self._next_requested = False
        self._snapshot: Snapshot | None = None
        self._depths: dict[str, float] = {}
        self._goals: dict[str, float] = {}

    def step(self, snapshot: Snapshot) -> dict[str, float]:
        """Read the parameters; returns the depths, smoothed. Costs nothing while the parameters stay."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self.has_prompt = bool(shown_text(snapshot).strip())
            fired = snapshot.fired("director.next")
            self._next_requested = self._next_requested or (self._next_count is not None and fired != self._next_count)
            self._next_count = fired
            self._goals = {name: float(snapshot[f"director.{name}"]) for name in DEPTHS}
            if not self._depths:
                self._depths = dict(self._goals)
        if self._depths != self._goals:
            for name, goal in self._goals.items():
                now = follow(self._depths[name], goal, DEPTH_SECONDS, DEPTH_SECONDS, HOP_SECONDS)
                self._depths[name] = goal if abs(goal - now) < 1e-4 else now
        return self._depths

    def take_next(self) -> bool:
        """Whether `director.next` requested another scene since the last call."""
        requested, self._next_requested = self._next_requested, False
        return requested
