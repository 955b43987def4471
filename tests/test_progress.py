"""A long render says how far it is, wherever its output goes."""

from __future__ import annotations

import pytest

from tpos_live.progress import Progress
from tpos_live.timing import hms


def test_a_line_every_few_seconds_of_the_clock_with_the_time_left() -> None:
    said: list[str] = []
    now = 0.0
    with Progress("a.mp4", 1600, bar=False, say=said.append, clock=lambda: now) as progress:
        for _ in range(130):
            now += 0.125
            progress.update()
    assert said == [
        "a.mp4: 2 %, 8.0 frames per second, 3:15 left",
        "a.mp4: 5 %, 8.0 frames per second, 3:10 left",
        "a.mp4: 7 %, 8.0 frames per second, 3:05 left",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0:00"), (59.6, "1:00"), (3723.0, "1:02:03"), (-1.0, "0:00")])
def test_hours_appear_when_there_are_some(seconds: float, text: str) -> None:
    assert hms(seconds) == text
