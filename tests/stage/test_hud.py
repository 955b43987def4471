"""What the HUD says."""

from __future__ import annotations

import pytest

from tpos_live.stage.hud import lines
from tpos_live.status import Status


@pytest.mark.parametrize(
    ("line", "seen", "unknown"),
    [
        ("city at night · neon (0.61); not understood: samurai", "city at night · neon (0.61)", "samurai"),
        ("fire (1.00)", "fire (1.00)", None),
        ("not understood: 海", None, "海"),
        ("", None, None),
    ],
)
def test_what_was_understood_and_what_not_have_a_line_each(line: str, seen: str | None, unknown: str | None) -> None:
    rows = {row.name: row.value for row in lines(Status(understood=line), 60.0)}
    assert rows.get("seen as") == seen and rows.get("unknown") == unknown


def test_it_says_how_much_of_the_time_the_engine_takes() -> None:
    rows = {row.name: row.value for row in lines(Status(latency_ms=79.2, engine_busy=0.304), 60.0)}
    assert rows["latency"] == "79 ms · engine busy 30%"


def test_it_says_what_the_sound_is_taken_for() -> None:
    rows = {line.name: line for line in lines(Status(heard="ratchet, pawl", magnitude=0.416), 30.0)}
    assert rows["heard"].value == "ratchet, pawl · 42%"
    assert {line.name: line.value for line in lines(Status(), 30.0)}["heard"] == "-"
