from __future__ import annotations

import numpy as np
import pytest

from tpos_live.core.timing import StageTimes


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
