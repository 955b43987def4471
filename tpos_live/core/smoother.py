"""Parameters with a smoothing time follow a jump of their value gradually."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tpos_live.core.envelope import share
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.parameters import TABLE

_SMOOTHED = [(p.name, p.smoothing) for p in TABLE.values() if p.smoothing > 0]


class Smoother:
    """Follows the parameters that have a smoothing time, one step a hop.

    Stepping by t twice equals stepping by 2t once (exponential), so it does not depend on the rate. Costs
    nothing while nothing changes.
    """

    def __init__(self) -> None:
        self._now: dict[str, float] = {}
        self._view = MappingProxyType(self._now)
        self._moving: list[tuple[str, float, float]] = []
        self._seen: Snapshot | None = None

    def step(self, snapshot: Snapshot, dt: float) -> Mapping[str, float]:
        """Advance by dt seconds towards `snapshot`; returns the smoothed values by name."""
        if snapshot is not self._seen:
            self._seen = snapshot
            self._moving = [
                (name, seconds, goal)
                for name, seconds in _SMOOTHED
                if self._now.setdefault(name, goal := float(snapshot[name])) != goal
            ]
        still = []
        for name, seconds, goal in self._moving:
            now = self._now[name] + (goal - self._now[name]) * share(seconds, dt)
            if abs(goal - now) < 1e-5:
                now = goal
            else:
                still.append((name, seconds, goal))
            self._now[name] = now
        self._moving = still
        return self._view
