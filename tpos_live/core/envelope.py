"""Attack and release times in seconds, independent of the hop, and the progress of a fade."""

from __future__ import annotations

import math
from functools import lru_cache


@lru_cache(maxsize=128)  # few durations of a hop come again; that of a frame never does
def share(seconds: float, dt: float) -> float:
    """Share of a jump that a follower with this time constant completes in dt: 1 - exp(-dt / seconds).

    0 seconds follow at once. Two steps of dt equal one of 2 dt.
    """
    return 1.0 if seconds <= 0.0 else -math.expm1(-dt / seconds)


def follow(now: float, goal: float, attack: float, release: float, dt: float) -> float:
    """`now` moved towards `goal` for dt seconds, by the attack when rising and the release when falling.

    Both are time constants: after this time 63 % of a jump are completed.
    """
    return now + (goal - now) * share(attack if goal > now else release, dt)


def ease(at: float) -> float:
    """From 0 at 0 to 1 at 1, without a kink; constant outside."""
    at = min(max(at, 0.0), 1.0)
    return at * at * (3.0 - 2.0 * at)


def part_done(began: float, seconds: float, now: float) -> float:
    """The part of a fade that is over at `now`, 0 to 1; all of one that takes no time."""
    return min(max((now - began) / seconds, 0.0), 1.0) if seconds > 0 else 1.0


def fade_weight(at: float) -> float:
    """Weight of what comes in a fade at `at`, its part of the time in [0, 1]; constant outside.

    Where weights are eased into areas (`diffusion.sampling.region_blend`), a weight that rises evenly leaves all of a
    fade to its middle third. Three quarters of this curve are the inverse of `ease`, for an area that grows evenly; the
    rest rises evenly, so that the two ends are not hurried.
    """
    at = min(max(at, 0.0), 1.0)
    return 0.25 * at + 0.75 * (0.5 - math.sin(math.asin(1.0 - 2.0 * at) / 3.0))
