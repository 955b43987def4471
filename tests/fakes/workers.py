"""The suite shared out between three processes (pytest-xdist).

Displays, sound servers and whole shows take real time and wait for most of it: the first process begins with them, one
after another, so no two of them run at once. The other two begin with the files that have slow tests, at a lower
priority; so two cores have work while one waits, and no long test is left for the end. What takes little time fills up
the three shares, and a process that has done its own takes from the tail of another.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.fast import processor_time

from tpos_live.core.cores import usable_cores

REAL_TIME = ("display", "audio", "own_process", "real_time")
"""Markers of tests that watch a clock while they wait."""
_WORKER = "PYTEST_XDIST_WORKER"
PROCESSES = 3
NICE = 10
"""What other tests give way by: nine tenths of a core that both want go to the show under test."""
LONGEST = 8
"""Files that are named for each process at the end."""
_gives_way = False


def choose(config: pytest.Config) -> None:
    """Take PROCESSES for the whole suite, unless the command line says how many."""
    if not config.pluginmanager.hasplugin("xdist") or _WORKER in os.environ:
        return  # A worker comes here, too, and so does a pytest that a test starts.
    option = config.option
    one = option.usepdb or option.collectonly or option.write_slow_tests or len(usable_cores()) < 2
    if config.args_source is not config.ArgsSource.ARGS and option.numprocesses is None and not one:
        option.numprocesses, option.dist = PROCESSES, "worksteal"
        # Threads of PyTorch that wait for each other must not keep a core from another process.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nor those of NumPy


def in_worker(config: pytest.Config) -> bool:
    """Whether this process runs a share of the tests."""
    return hasattr(config, "workerinput")


def import_share(config: pytest.Config) -> None:
    """Import a worker's share of the test files, before it collects all of them.

    In a new clone none of them is compiled, and its asserts are rewritten for pytest. The workers write what they have
    compiled for the others, but not if each begins with the same file at the same time: then each compiled all."""
    folders = [folder for folder in map(Path, config.args) if folder.is_dir()]
    files = sorted(path for folder in folders for path in folder.rglob("test_*.py"))
    first, count = int(config.workerinput["workerid"][2:]), config.workerinput["workercount"]  # type: ignore[attr-defined]
    for path in files[first * len(files) // count : (first + 1) * len(files) // count]:
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))  # as pytest does it
        with suppress(Exception, pytest.skip.Exception):  # which the collection reports
            importlib.import_module(path.stem)


def sort(items: list[pytest.Item], processes: int) -> None:
    """Order a worker's list so that each of `processes` equal parts of it, which is what "worksteal" hands out, begins
    with the long tests of that process. The files keep their order else.

    The tests of a file with slow ones stay together: what its fixtures make, engines that a session loads once, and
    functions that numba compiles once a process, are then made in one process and not in two. So do the files that
    fork commands: the process that they are forked from imports all libraries, once in each test process."""
    waiting = [item for item in items if _waits(item)]
    rest = [item for item in items if not _waits(item)]
    with_slow = {item.path for item in rest if item.get_closest_marker("slow") or _forks(item)}
    long = [item for item in rest if item.path in with_slow]
    short = [item for item in rest if item.path not in with_slow]
    others = max(processes - 1, 1)
    shares = [waiting, *_by_file(long, others)]
    part = len(items) // len(shares)
    items.clear()
    for share in shares:
        room = max(part - len(share), 0)
        items += share + short[:room]
        del short[:room]
    items += short


def _by_file(items: list[pytest.Item], shares: int) -> list[list[pytest.Item]]:
    """So many shares with about as many slow tests each; those of one file are in one share, in their order, and all
    files that fork in the first."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    found: list[list[pytest.Item]] = [[] for _ in range(shares)]
    slow = [0] * shares
    for each in sorted(files.values(), key=lambda each: not _forks(each[0])):
        least = 0 if _forks(each[0]) else slow.index(min(slow))
        found[least].extend(each)
        slow[least] += sum(item.get_closest_marker("slow") is not None for item in each)
    return found


def give_way(item: pytest.Item) -> None:
    """Lower this process's priority, once, when it comes to tests that do not depend on time: by so much, wherever
    it began, for a run that somebody gives a high priority keeps it beside other work."""
    global _gives_way
    if hasattr(os, "nice") and not _waits(item) and not _gives_way:
        _gives_way = True
        os.nice(NICE)


class Measure:
    """A plugin of a process: what its share takes, for `Shares`. Forked commands (`fakes.forked`) are not counted."""

    def __init__(self) -> None:
        self._begun, self._ended, self._waiting, self._tests = time.monotonic(), 0.0, 0.0, 0
        self._files: defaultdict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        """Seconds of each file, and those of a processor."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        begun, before, name = time.monotonic(), processor_time(), item.nodeid.split("::")[0]
        try:
            return (yield)  # type: ignore[misc]
        finally:
            took, used = self._files[name]
            self._files[name] = took + time.monotonic() - begun, used + processor_time() - before
            self._ended, self._tests = time.monotonic() - self._begun, self._tests + 1
            if _waits(item):
                self._waiting = self._ended

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        longest = sorted(self._files.items(), key=lambda file: -file[1][0])[:LONGEST]
        files = ", ".join(f"{name} {took:.0f} s ({used:.0f})" for name, (took, used) in longest)
        line = f"{self._tests} tests until {self._ended:.0f} s, those in real time until {self._waiting:.0f} s, "
        line += f"{processor_time():.0f} s of a processor; longest, and their seconds of a processor: {files}"
        session.config.workeroutput["share"] = line  # type: ignore[attr-defined]


class Shares:
    """A plugin of the first process: a line of each of the others at the end says when its work was done, and
    which files took it longest: what to look at when the suite takes longer."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if share := getattr(node, "workeroutput", {}).get("share"):  # none of a process that has crashed
            self._lines.append(f"{node.gateway.id}: {share}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for line in sorted(self._lines):
            terminalreporter.write_line(line)


def _waits(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(marker) for marker in REAL_TIME)


def _forks(item: pytest.Item) -> bool:
    """Whether its file takes processes from `fakes.forked`."""
    made = (getattr(value, "__module__", getattr(value, "__name__", "")) for value in vars(item.module).values())  # type: ignore[attr-defined]
    return any(name in ("fakes.forked", "fakes.forked_python") for name in made)
