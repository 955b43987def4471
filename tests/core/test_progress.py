"""Progress of a long render, on a terminal and in a file."""

from __future__ import annotations

import threading

import pytest

from tpos_live.core.progress import Progress
from tpos_live.core.timing import hms


def test_a_line_every_few_seconds_of_the_clock_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    with Progress("a.mp4", 1600, bar=False, clock=lambda: now) as progress:
        now = 60.0  # the engine was prepared
        progress.update()
        progress.rename("a-2.mp4")
        for k in range(1, 641):
            now += 0.125 if k < 480 else 0.25  # twice as slow from here on
            progress.update()
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        "a-2.mp4: 2 %, 8.0 frames per second, 3:15 left",
        "a-2.mp4: 5 %, 8.0 frames per second, 3:10 left",
    ]
    assert len(said) == 20 and "8.0 frames" in said[10] and "4.0 frames" in said[-1]


def test_on_a_terminal_it_is_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("a.mp4", 10, bar=True) as progress:
        progress.rename("a-2.mp4")
        for _ in range(10):
            progress.update()
    assert "a-2.mp4: 100%" in capsys.readouterr().err


def test_the_bar_moves_while_no_frame_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = threading.Semaphore(0)
    monkeypatch.setattr("tpos_live.core.progress.tqdm.refresh", lambda *_args, **_options: drawn.release())
    with Progress("a.mp4", 10, bar=True, tick=0.01):
        assert all(drawn.acquire(timeout=10) for _ in range(3))
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0:00"), (59.6, "1:00"), (3723.0, "1:02:03"), (-1.0, "0:00")])
def test_hours_appear_when_there_are_some(seconds: float, text: str) -> None:
    assert hms(seconds) == text
