"""The board: one Status out of many parts."""

from __future__ import annotations

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.runtime.status_registry import KEEP, StatusRegistry


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_parts_fill_the_status() -> None:
    clock, lines = Clock(), []
    status_registry = StatusRegistry(ParameterStore({"prompt": "fire"}), lines.append, clock)
    status_registry.add_provider(lambda: {"level": 0.5})
    status_registry.update(state="running")
    clock.now += 3
    status = status_registry.status()
    assert (status.state, status.level, status.prompt, status.uptime) == ("running", 0.5, "fire", 3.0)
    assert status.memory_mb > 1


def test_a_reported_line_is_said_once_and_shown_for_a_while() -> None:
    clock, lines = Clock(), []
    status_registry = StatusRegistry(ParameterStore(), lines.append, clock)
    status_registry.report("port taken")
    status_registry.report("port taken")
    assert lines == ["port taken"]
    assert status_registry.status().message == "port taken"
    clock.now += KEEP + 1
    assert status_registry.status().message == ""


def test_a_part_in_trouble_is_heard_over_reports() -> None:
    clock = Clock()
    status_registry = StatusRegistry(ParameterStore(), lambda line: None, clock)
    status_registry.add_provider(lambda: {"message": "no sound"})
    status_registry.report("hello")
    assert status_registry.status().message == "no sound"


def test_a_report_is_seen_while_a_part_is_in_trouble() -> None:
    clock = Clock()
    status_registry = StatusRegistry(ParameterStore(), lambda line: None, clock)
    status_registry.add_provider(lambda: {"message": "no sound"})
    assert status_registry.status().message == "no sound"
    clock.now += 5
    status_registry.report("the projector is gone")
    clock.now += 1
    assert status_registry.status().message == "the projector is gone"
    clock.now += KEEP
    assert status_registry.status().message == "no sound"


def test_parts_are_not_asked_too_often() -> None:
    clock, asked = Clock(), []
    status_registry = StatusRegistry(ParameterStore(), lambda line: None, clock)
    status_registry.add_provider(lambda: asked.append(1) or {})
    for _ in range(10):
        status_registry.status()
        clock.now += 0.011
    assert 2 <= len(asked) <= 3


def test_the_status_says_what_is_shown_and_where_it_comes_from() -> None:
    clock = Clock()
    store = ParameterStore({"prompt": "fire", "prompt.2": "sea", "prompt.3": "ice"})
    status_registry = StatusRegistry(store, lambda line: None, clock)

    def shown() -> tuple[str, str]:
        clock.now += 1
        return status_registry.status().prompt, status_registry.status().showing

    assert shown() == ("fire", "prompt")
    store.set("prompt.select", 2)
    assert shown() == ("sea", "slot 2")
    store.update({"prompt.2.weight": 0.5, "prompt.3.weight": 1.0})
    assert shown() == ("sea 0.5 + ice 1.0", "slot 2 33 % + slot 3 67 %")
    store.update({"prompt.2.weight": 0.0, "prompt.3.weight": 0.25})
    assert shown() == ("ice 0.2 + fire 0.8", "slot 3 25 % + prompt 75 %")
    store.set("prompt", "fire")
    assert shown() == ("fire", "prompt")


def test_what_is_wrong_with_a_part_is_said_on_the_terminal_once_each_time_it_begins() -> None:
    clock, lines, wrong = Clock(), [], ["no sound"]
    status_registry = StatusRegistry(ParameterStore(), lines.append, clock)
    status_registry.add_provider(lambda: {"message": wrong[0]})
    status_registry.add_provider(lambda: {"message": "slow disk"})
    for _ in range(3):
        status_registry.status()
        clock.now += 1
    assert lines == ["no sound", "slow disk"]
    wrong[0] = ""
    status_registry.status()
    clock.now += 120
    wrong[0] = "no sound"
    status_registry.status()
    assert lines == ["no sound", "slow disk", "no sound"]
