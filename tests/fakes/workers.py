"""The suite shared out between three processes (pytest-xdist).

Displays, sound servers and whole shows take real time and wait for most of it: the first process has them all, one
after another, so no two of them run at once. Tests that compute for long come first in the other two, file by file in
turns, with a lower priority; so two cores have work while a show waits, and no long test is left for the end. What
takes little time fills up the three shares, and a process that has done its own takes from the tail of another.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

REAL_TIME = ("display", "audio", "own_process", "real_time")
"""Markers of tests that watch a clock while they wait; the other slow ones come after them."""
WAITING = (*REAL_TIME, "gl", "slow")
"""Markers of tests that the first process has, with its full priority."""
COMPUTING = "compute"
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


def sort(items: list[pytest.Item], processes: int) -> None:
    """Order a worker's list so that each of `processes` equal parts of it, which is what "worksteal" hands out, begins
    with the long tests of that process. The files keep their order else."""
    waiting = sorted((item for item in items if _waits(item)), key=lambda item: not _has(item, REAL_TIME))
    computing = [item for item in items if not _waits(item) and _has(item, (COMPUTING,))]
    short = [item for item in items if not _waits(item) and not _has(item, (COMPUTING,))]
    files, others = list(dict.fromkeys(item.path for item in computing)), max(processes - 1, 1)
    turn = {path: n % others for n, path in enumerate(files)}  # a file's tests stay together, for what they import
    shares = [waiting, *([item for item in computing if turn[item.path] == n] for n in range(others))]
    items.clear()
    for n, share in enumerate(shares):
        room = (len(waiting) + len(computing) + len(short) - len(items)) // max(processes - n, 1) - len(share)
        items += share + short[: max(room, 0)]
        del short[: max(room, 0)]
    items += short


def give_way(item: pytest.Item) -> None:
    """Lower this process's priority, once, when it comes to tests that do not depend on time."""
    if hasattr(os, "nice") and not _waits(item) and os.nice(0) < NICE:
        os.nice(NICE - os.nice(0))


def _waits(item: pytest.Item) -> bool:
    return _has(item, WAITING)


def _has(item: pytest.Item, markers: Sequence[str]) -> bool:
    return any(item.get_closest_marker(marker) for marker in markers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
