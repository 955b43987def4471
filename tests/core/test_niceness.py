"""Heavy threads, and the threads that they start, have a higher niceness."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
from fakes.waiting import wait_until

from tpos_live.core.cores import lower_this_thread, set_heavy_nice, use_heavy_nice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have their own priorities on Linux")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    set_heavy_nice(0)


def mine() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def on_thread(work: Callable[[], object]) -> list[object]:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found


@contextmanager
def idle_thread() -> Iterator[Callable[[], int]]:
    """The niceness of a thread that changes nothing."""
    ended, number = threading.Event(), Future[int]()
    thread = threading.Thread(target=lambda: (number.set_result(threading.get_native_id()), ended.wait()))
    thread.start()
    try:
        yield lambda: os.getpriority(os.PRIO_PROCESS, number.result())
    finally:
        ended.set()
        thread.join()


def check(change: Callable[[int], None]) -> None:
    """change: gets this thread's nice. Once more where somebody has reniced the whole process meanwhile."""
    with idle_thread() as idle:
        while True:
            before = idle()
            try:
                change(mine())
            except AssertionError:
                if not wait_until(lambda before=before: idle() != before, 1.0):  # type: ignore[misc]
                    raise
            else:
                return


def test_a_heavy_thread_and_those_that_it_starts_are_nicer_and_no_other() -> None:
    def change(before: int) -> None:
        set_heavy_nice(7)
        nicer = max(7, before)
        assert on_thread(lambda: (use_heavy_nice(), mine(), on_thread(mine))[1:]) == [(nicer, [nicer])]
        assert mine() == before and on_thread(mine) == [before]

    check(change)


def test_zero_changes_nothing_and_no_thread_is_raised() -> None:
    def twice() -> int:
        set_heavy_nice(12)
        use_heavy_nice()
        set_heavy_nice(3)
        use_heavy_nice()
        return mine()

    def change(before: int) -> None:
        set_heavy_nice(0)
        assert on_thread(lambda: (use_heavy_nice(), mine())[1]) == [before]
        assert on_thread(twice) == [max(12, before)]

    check(change)


def test_one_thread_is_lowered_and_never_raised() -> None:
    def change(before: int) -> None:
        assert on_thread(lambda: (lower_this_thread(10), lower_this_thread(3), mine())[2]) == [max(10, before)]
        assert mine() == before

    check(change)
