"""Guard: errors neither end a loop nor flood the log."""

from __future__ import annotations

import logging

import pytest

from tpos_live.core import guard as guard_module
from tpos_live.core.guard import PAUSE, Guard


class Clock:
    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the guard."""
    made = Clock()
    monkeypatch.setattr(guard_module.time, "monotonic", lambda: made.now)
    return made


def fail(guard: Guard, why: str) -> None:
    with guard:
        raise RuntimeError(why)


def test_an_error_whose_text_changes_each_time_does_not_flood_the_log(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The audio thread runs 100 times per second, and the HUD shows these lines."""
    guard = Guard(logging.getLogger(__name__), "the sound")
    for n in range(300):
        clock.now = n / 100
        fail(guard, f"{n} samples are missing")
    assert [record.message for record in caplog.records] == [
        f"the sound goes on after an error: {n} samples are missing" for n in (0, 100, 200)
    ]


def test_the_same_line_comes_once_and_an_interrupt_passes(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(logging.getLogger(__name__), "the sound")
    for why in ("gone", "gone", "late", "gone"):
        fail(guard, why)
        clock.now += 2 * PAUSE
    assert [record.message.rpartition(" ")[2] for record in caplog.records] == ["gone", "late", "gone"]
    with pytest.raises(KeyboardInterrupt), guard:
        raise KeyboardInterrupt
