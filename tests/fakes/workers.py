"""The suite shared out between three processes (pytest-xdist).

Displays, sound servers and whole shows take real time and wait for most of it. They come first, on the process that
gets the first third of the list; the other two compute meanwhile, with a lower priority, and at the end take what is
left of the first third from its tail. So no two of those tests run at once, unless nothing else is left; and two cores
have work while one of them waits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

REAL_TIME = ("display", "audio", "own_process", "real_time")
"""Markers of tests that watch a clock while they wait; the other heavy ones come after them."""
_WORKER = "PYTEST_XDIST_WORKER"
PROCESSES = 3
NICE = 10
"""What other tests give way by: nine tenths of a core that both want go to the show under test."""


def choose(config: pytest.Config) -> None:
    """Take PROCESSES for the whole suite, unless the command line says how many."""
    if not config.pluginmanager.hasplugin("xdist") or _WORKER in os.environ:
        return  # A worker comes here, too, and so does a pytest that a test starts.
    option = config.option
    one = option.usepdb or option.collectonly or option.write_slow_tests or _cores() < 2
    if config.args_source is not config.ArgsSource.ARGS and option.numprocesses is None and not one:
        option.numprocesses, option.dist = PROCESSES, "worksteal"
        # Threads of PyTorch that wait for each other must not keep a core from another process.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def in_worker(config: pytest.Config) -> bool:
    """Whether this process runs a share of the tests."""
    return hasattr(config, "workerinput")


def sort(items: list[pytest.Item], heavy: Sequence[str]) -> None:
    """Put those that take real time first, then the other heavy ones. In the order of their files else."""
    items.sort(key=lambda item: 0 if _has(item, REAL_TIME) else 1 if _has(item, heavy) else 2)


def give_way(item: pytest.Item, heavy: Sequence[str]) -> None:
    """Lower this process's priority, once, when it comes to tests that do not depend on time."""
    if hasattr(os, "nice") and not _has(item, (*REAL_TIME, *heavy)) and os.nice(0) < NICE:
        os.nice(NICE - os.nice(0))


def _has(item: pytest.Item, markers: Sequence[str]) -> bool:
    return any(item.get_closest_marker(marker) for marker in markers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
