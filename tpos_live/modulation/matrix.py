"""The modulation matrix: how far each audio feature moves each target, with depth, curve, attack and release.

Only pairs with a depth other than 0 are evaluated; the list is updated when a parameter changes. Parameters with a
smoothing time approach a new value exponentially (`Smoother`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tpos_live.core.envelope import follow, share
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.parameters import FEATURES, PUNCH, TABLE, TARGETS
from tpos_live.features.features import Features

Pair = tuple[str, str]
"""(feature, target)"""

IN_BARS: frozenset[Pair] = frozenset({("drop", "speed")})
"""Pairs whose release scales with the length of a bar: the parameter is the release at 120 BPM."""

_NAMES: Mapping[Pair, str] = {(f, t): f"map.{f}.{t}" for f in FEATURES for t in TARGETS}
_SMOOTHED = [(p.name, p.smoothing) for p in TABLE.values() if p.smoothing > 0]


class Smoother:
    """Smooths the parameters that have a smoothing time. One step per hop.

    Smoothing is exponential: two steps of t equal one step of 2t, so the step rate has no effect. Costs nothing while
    nothing changes.
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
        moving = []
        for name, seconds, goal in self._moving:
            now = self._now[name] + (goal - self._now[name]) * share(seconds, dt)
            if abs(goal - now) < 1e-5:
                now = goal
            else:
                moving.append((name, seconds, goal))
            self._now[name] = now
        self._moving = moving
        return self._view


@dataclass(slots=True)
class _Route:
    """A pair with a depth, its settings and the state of its envelope. goal: depth, before smoothing."""

    name: str
    curve: float = 1.0
    attack: float = 0.0
    release: float = 0.0
    goal: float = 0.0
    envelope: float = 0.0


@dataclass
class ModulationMatrix:
    """Computes the contribution of each pair. One step per hop."""

    _routes: dict[Pair, _Route] = field(default_factory=dict)
    _snapshot: Snapshot | None = None

    def step(
        self, features: Features, snapshot: Snapshot, smoothed: Mapping[str, float], dt: float
    ) -> dict[Pair, float]:
        """Contribution of each pair in use, in the target's unit: depth * punch * sensitivity * envelope ** curve.

        smoothed: values from `Smoother`. A negative envelope (that of `beat`) keeps its sign through the curve.
        """
        if snapshot is not self._snapshot:
            self._update_routes(snapshot, smoothed)
        sensitivity, punch = smoothed["audio.sensitivity"], smoothed["finish.punch"]
        bars = 120.0 / features.tempo if features.tempo > 0.0 else 1.0
        contributions: dict[Pair, float] = {}
        unused = []
        for pair, route in self._routes.items():
            depth = smoothed[route.name]
            if depth == 0.0 and route.goal == 0.0:
                unused.append(pair)
                continue
            release = route.release * bars if pair in IN_BARS else route.release
            value = getattr(features, pair[0])
            route.envelope = envelope = follow(route.envelope, value, route.attack, release, dt)
            shaped = envelope**route.curve if envelope >= 0.0 else -((-envelope) ** route.curve)
            calm = PUNCH.get(pair, 1.0)  # factor at punch 0; at punch 0.5 the factor is 1
            contributions[pair] = depth * sensitivity * shaped * (calm + (1.0 - calm) * 2.0 * punch)
        for pair in unused:
            del self._routes[pair]
        return contributions

    def _update_routes(self, snapshot: Snapshot, smoothed: Mapping[str, float]) -> None:
        """Find the pairs with a depth other than 0; existing envelopes are kept."""
        self._snapshot = snapshot
        smooth = float(snapshot["audio.smooth"])
        routes = {}
        for pair, name in _NAMES.items():
            goal = float(snapshot[name])
            if goal == 0.0 and smoothed[name] == 0.0:
                continue
            route = self._routes.get(pair) or _Route(name)
            route.goal = goal
            route.curve = float(snapshot[name + ".curve"])
            route.attack = float(snapshot[name + ".attack"])
            route.release = float(snapshot[name + ".release"]) + smooth
            routes[pair] = route
        self._routes = routes
