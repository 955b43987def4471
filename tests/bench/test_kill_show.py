"""The summary of `benchmarks/kill_show.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
kill_show = pytest.importorskip("kill_show")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([2.0], 2.0),
        ([3.0, *[1.0] * 19], 1.0),
        ([*[1.0] * 18, 2.5, 3.0], 2.5),
        ([*[1.0] * 18, 2.5, None], 2.5),
        ([*[1.0] * 18, None, None], None),
        ([1.0, 2.0, None], None),
        ([None], None),
    ],
)
def test_a_show_that_is_not_back_counts_as_never(seconds: list[float | None], expected: float | None) -> None:
    assert kill_show.p95(seconds) == expected
