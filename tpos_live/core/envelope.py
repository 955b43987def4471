"""Envelopes with attack and release in seconds, independent of the step, and the progress of a fade."""

from __future__ import annotations

import math
from functools import lru_cache


@lru_cache(maxsize=128)  # durations of hops repeat; those of frames do not
def share(seconds: float, dt: float) -> float:
    """Share of a jump that an envelope with the time constant `seconds` completes in dt: 1 - exp(-dt / seconds).

    0 seconds: the whole jump. Two steps of dt equal one of 2 dt.
    """
    return 1.0 if seconds <= 0.0 else -math.expm1(-dt / seconds)


def follow(now: float, goal: float, attack: float, release: float, dt: float) -> float:
    """The envelope after dt seconds: `now` moves towards `goal`, by the attack when rising, by the release when
    falling.

    Both are time constants in seconds: after this time 63 % of a jump are completed.
    """
    return now + (goal - now) * share(attack if goal > now else release, dt)


def ease(at: float) -> float:
    """Smoothstep: from 0 at 0 to 1 at 1, with slope 0 at both ends; constant outside."""
    at = min(max(at, 0.0), 1.0)
    return at * at * (3.0 - 2.0 * at)


def part_done(began: float, seconds: float, now: float) -> float:
    """Progress of a fade at `now`, 0 to 1; 1 for a fade of 0 seconds."""
    return min(max((now - began) / seconds, 0.0), 1.0) if seconds > 0 else 1.0


def fade_weight(at: float) -> float:
    """Weight of the new prompt in a fade at the progress `at`, 0 to 1; constant outside.

    The regional blend (`diffusion.sampling.region_blend`) eases weights into areas, so with a linear weight most of a
    fade would happen in its middle third. 75 % of this curve is the inverse of `ease`, for an area that grows linearly;
    25 % is linear, so that the two ends are not too fast.
    """
    at = min(max(at, 0.0), 1.0)
    return 0.25 * at + 0.75 * (0.5 - math.sin(math.asin(1.0 - 2.0 * at) / 3.0))
