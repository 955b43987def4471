"""Which tests are fast: `pytest -m fast` is what a developer runs after every change.

Fast is what needs no display, sound server or process of its own, and is not in slow_tests.txt. That list is written by
`pytest --write-slow-tests` on a machine with nothing else to do: functions whose tests take more than MEAN in the mean,
or TOTAL together, in seconds of processor time.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

MEAN, TOTAL = 0.1, 0.5
HEAVY = ("gl", "display", "audio", "slow")
"""Markers of tests that come last, and are not fast."""
LIST = Path(__file__).parents[1] / "slow_tests.txt"


def function_of(item: pytest.Item) -> str:
    """A test's function, without its parameters."""
    return item.nodeid.split("[")[0]


def listed() -> set[str]:
    """The functions that LIST names."""
    return set(LIST.read_text(encoding="utf-8").splitlines()) if LIST.exists() else set()


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests that are fast."""
    slow = listed()
    for item in items:
        if function_of(item) not in slow and not any(item.get_closest_marker(name) for name in (*HEAVY, "own_process")):
            item.add_marker("fast")


class Measure:
    """A plugin that writes LIST anew from the tests that are run."""

    def __init__(self) -> None:
        self._took: defaultdict[str, list[float]] = defaultdict(list)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        before = processor_time()
        try:
            return (yield)  # type: ignore[misc]
        finally:
            self._took[function_of(item)].append(processor_time() - before)

    def pytest_sessionfinish(self) -> None:
        slow = {name for name, took in self._took.items() if sum(took) > min(MEAN * len(took), TOTAL)}
        names = sorted((listed() - self._took.keys()) | slow)
        LIST.write_text("\n".join(names) + "\n", encoding="utf-8")


def processor_time() -> float:
    """Seconds of a processor that this process has used, and those of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
