"""What holds for every test."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import fast, own_process, workers
from fakes.loaders import end_loads
from fakes.messages import heard_messages
from fakes.one_thread import one_thread as one_thread

from tpos_live.core.garbage import no_search_while_loading

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Some hundred processes are started here: without bytecode each would compile the tests and the whole program anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# librosa's compiled functions: two test processes that write one cache at the same time damage it, and Python crashes.
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="tpos-live-numba-")
os.environ["NUMBA_OPT"] = "0"  # compiled in 11 s and not 19, for the few seconds of sound of a test
# A run in the background, or behind nohup, ignores these, and so would each process that a test starts.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, name) and signal.getsignal(signal.Signals[name]) is signal.SIG_IGN:
        signal.signal(signal.Signals[name], handler)
STATES = Path(tempfile.mkdtemp(prefix="tpos-live-state-"))
"""A folder of states for each test: no show finds the user's own, or one that another test has killed."""

pytest_plugins = ["fakes.engines"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-slow-tests", action="store_true", help="write tests/slow_tests.txt from this run")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    workers.choose(config)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-slow-tests"):
        config.pluginmanager.register(fast.Measure())
    config.pluginmanager.register(workers.Measure() if workers.in_worker(config) else workers.Shares())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the fast tests; those that start servers, windows and shows come last, or first in several processes."""
    fast.mark(items)
    if workers.in_worker(config):
        workers.sort(items, config.workerinput["workercount"])
    else:
        items.sort(key=lambda item: sum(item.get_closest_marker(mark) is not None for mark in fast.HEAVY))


def pytest_runtest_setup(item: pytest.Item) -> None:
    os.environ["TPOS_LIVE_STATE"] = str(STATES / hashlib.sha256(item.nodeid.encode()).hexdigest()[:20])
    if workers.in_worker(item.config):
        workers.give_way(item)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[object]:
    """Without a search for garbage: this makes a million objects, and they stay."""
    with no_search_while_loading():
        if workers.in_worker(session.config):
            workers.import_share(session.config)
        return (yield)  # type: ignore[misc]


def pytest_sessionfinish() -> None:
    """Python cannot end beside a thread that is inside a library: "terminate called without an active exception"."""
    end_loads()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    return own_process.run(pyfuncitem) if pyfuncitem.get_closest_marker("own_process") else None


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What tpos-live says during the test, from INFO on, oldest first; grows meanwhile."""
    with heard_messages() as lines:
        yield lines
