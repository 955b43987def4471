from __future__ import annotations

import numpy as np
import pytest

from tpos_live.core.timing import FrameGrid, StageTimes


def test_percentiles_of_the_newest() -> None:
    times = StageTimes(("draw",), size=100)
    assert times.percentiles("draw") == (0.0, 0.0, 0.0)
    for n in range(1000):
        times.add("draw", n / 1000)
    assert times.count("draw") == 1000 and len(times.values("draw")) == 100
    assert times.percentiles("draw", (0, 50, 100)) == pytest.approx((0.9, 0.9495, 0.999))
    times.clear()
    assert times.count("draw") == 0 and len(times.values("draw")) == 0


def test_a_stage_appears_with_its_first_duration() -> None:
    times = StageTimes()
    assert times.stages == () and len(times.values("new")) == 0
    times.add("new", 0.5)
    assert times.stages == ("new",) and np.array_equal(times.values("new"), [0.5])


def test_a_grid_keeps_the_rate_and_does_not_hurry_after_a_stall() -> None:
    grid, now, begun = FrameGrid(30), 0.0, []
    rng = np.random.default_rng(0)
    for n in range(300):
        now += grid.wait(now)
        grid.begin(now)
        begun.append(now)
        now += rng.uniform(0.001, 0.03) + (2.0 if n == 150 else 0.0)
    gaps = np.diff(begun)
    assert np.delete(gaps, 150) == pytest.approx(1 / 30, abs=0.031)
    assert (begun[150] - begun[0]) / 150 == pytest.approx(1 / 30, rel=1e-6)
    after = np.array(begun[152:])
    assert (after[-1] - after[0]) / (len(after) - 1) == pytest.approx(1 / 30, rel=1e-3)
    without_cap = FrameGrid(0)
    without_cap.begin(5.0)
    assert without_cap.wait(5.1) == 0.0


@pytest.mark.parametrize("every", [1, 2, 4])
def test_a_grid_chooses_refreshes_near_its_frames(every: int) -> None:
    """Of a display with 59.94 frames per second, whose refreshes come up to 2 ms early or late."""
    grid, rng = FrameGrid(30), np.random.default_rng(0)
    refreshes = 100.0 + np.arange(6000) / 59.94 + rng.uniform(-0.002, 0.002, 6000)
    taken = [at for at in refreshes if grid.due(at, every)]
    assert (len(taken) - 1) / (taken[-1] - taken[0]) == pytest.approx(30 / every, rel=0.002)
    assert np.diff(taken) == pytest.approx(every / 30, abs=0.02)
    stalled = taken[-1] + 2.0
    assert grid.due(stalled, every) and not grid.due(stalled + 0.5 * every / 30, every)
