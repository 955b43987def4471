"""The modulation matrix: how far each audio feature moves each target, with depth, curve, attack and release.

Only the pairs with a depth are evaluated; the list is updated when a parameter changes. Parameters with a smoothing
time follow a jump of their value gradually (`Smoother`).
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
"""Pairs whose release counts in bars: it is given for 120 BPM and scaled with the tempo."""

_NAMES: Mapping[Pair, str] = {(f, t): f"map.{f}.{t}" for f in FEATURES for t in TARGETS}
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


@dataclass(slots=True)
class _Route:
    """A pair in use, its settings and its envelope."""

    pair: Pair
    name: str
    curve: float = 1.0
    attack: float = 0.0
    release: float = 0.0
    goal: float = 0.0
    envelope: float = 0.0


@dataclass
class ModulationMatrix:
    """Follows the features and gives the contribution of each pair. One step per hop."""

    _routes: dict[Pair, _Route] = field(default_factory=dict)
    _snapshot: Snapshot | None = None

    def step(
        self, features: Features, snapshot: Snapshot, smoothed: Mapping[str, float], dt: float
    ) -> dict[Pair, float]:
        """Contribution of each pair in use, in the target's unit: depth * punch * sensitivity * envelope ** curve.

        smoothed: the parameters as `Smoother` gives them. A negative envelope (the beat's) keeps its sign through the
        curve.
        """
        if snapshot is not self._snapshot:
            self._choose(snapshot, smoothed)
        sensitivity, punch = smoothed["audio.sensitivity"], smoothed["finish.punch"]
        bars = 120.0 / features.tempo if features.tempo > 0.0 else 1.0
        given: dict[Pair, float] = {}
        spent = []
        for pair, route in self._routes.items():
            depth = smoothed[route.name]
            if depth == 0.0 and route.goal == 0.0:
                spent.append(pair)
                continue
            release = route.release * bars if pair in IN_BARS else route.release
            value = getattr(features, pair[0])
            route.envelope = envelope = follow(route.envelope, value, route.attack, release, dt)
            shaped = envelope**route.curve if envelope >= 0.0 else -((-envelope) ** route.curve)
            calm = PUNCH.get(pair, 1.0)  # without punch; 0.5 changes nothing
            given[pair] = depth * sensitivity * shaped * (calm + (1.0 - calm) * 2.0 * punch)
        for pair in spent:
            del self._routes[pair]
        return given

    def _choose(self, snapshot: Snapshot, smoothed: Mapping[str, float]) -> None:
        """Find the pairs with a depth; envelopes that already run are kept."""
        self._snapshot = snapshot
        smooth = float(snapshot["audio.smooth"])
        routes = {}
        for pair, name in _NAMES.items():
            goal = float(snapshot[name])
            if goal == 0.0 and smoothed[name] == 0.0:
                continue
            route = self._routes.get(pair) or _Route(pair, name)
            route.goal = goal
            route.curve = float(snapshot[name + ".curve"])
            route.attack = float(snapshot[name + ".attack"])
            route.release = float(snapshot[name + ".release"]) + smooth
            routes[pair] = route
        self._routes = routes
