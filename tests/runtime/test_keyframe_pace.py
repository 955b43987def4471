"""When a keyframe begins. The clock is passed in."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.features.features import Features
from tpos_live.runtime.keyframe_mode import KeyframePace

NO_BEAT = Features()


def beat_at(now: float, tempo: float = 120.0, confidence: float = 0.9) -> Features:
    """A beat at 0 s."""
    return Features(tempo=tempo, beat_phase=now * tempo / 60 % 1.0, confidence=confidence)


def ends(took: float, limit: float, beat: bool, seconds: float = 20.0, confidence: float = 0.9) -> np.ndarray:
    """Times at which keyframes that take `took` seconds each are ready."""
    pace, now, found = KeyframePace(), 0.123, []
    while now < seconds:
        wait = pace.wait(now, limit, beat_at(now, confidence=confidence) if beat else NO_BEAT)
        if wait > 0:
            now += min(wait, 0.02)
            continue
        pace.drawn(now, now + took)
        now += took
        found.append(now)
    return np.array(found)


def test_the_first_one_begins_at_once() -> None:
    assert KeyframePace().wait(5.0, 1.0, beat_at(5.0)) == 0.0


def test_without_a_limit_and_a_beat_they_follow_each_other() -> None:
    assert np.allclose(np.diff(ends(0.7, 0.0, False)), 0.7, atol=0.021)


@pytest.mark.parametrize("beat", [False, True])
def test_the_limit_is_kept(beat: bool) -> None:
    gaps = np.diff(ends(0.05, 1.0, beat))
    assert gaps.min() >= 0.99 and gaps.max() <= 1.5


@pytest.mark.parametrize(("took", "limit"), [(0.05, 1.0), (0.3, 1.5), (2.2, 0.0)])
def test_they_come_on_the_beat(took: float, limit: float) -> None:
    phases = ends(took, limit, True)[3:] % 0.5
    assert np.minimum(phases, 0.5 - phases).max() < 0.03


def test_a_short_keyframe_does_not_wait_long_for_a_beat() -> None:
    gaps = np.diff(ends(0.2, 0.0, True))
    assert gaps.max() <= 0.2 * 1.25 + 0.03


def test_an_unsure_beat_is_none() -> None:
    assert np.allclose(np.diff(ends(0.7, 0.0, True, confidence=0.2)), 0.7, atol=0.021)


def test_the_rate_of_keyframes_is_measured() -> None:
    pace = KeyframePace()
    assert pace.rate == 0.0
    for n in range(8):
        pace.drawn(n * 2.0, n * 2.0 + 1.0)
    assert pace.rate == pytest.approx(0.5)
