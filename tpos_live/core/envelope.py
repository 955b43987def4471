"""Attack and release in seconds, whatever the hop."""

from __future__ import annotations

import math
from functools import lru_cache


@lru_cache(maxsize=4096)
def share(seconds: float, dt: float) -> float:
    """How much of a jump a follower with this time constant makes up in dt: 1 - exp(-dt / seconds).

    0 seconds follow at once. Two steps of dt equal one of 2 dt.
    """
    return 1.0 if seconds <= 0.0 else -math.expm1(-dt / seconds)


def follow(now: float, goal: float, attack: float, release: float, dt: float) -> float:
    """`now` moved towards `goal` for dt seconds: by the attack when rising, the release when falling.

    Both are time constants: the time after which 63 % of a jump are made up.
    """
    return now + (goal - now) * share(attack if goal > now else release, dt)
