"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from fakes import fast, own_process
from fakes.messages import heard_messages

os.environ.setdefault("HF_HUB_OFFLINE", "1")

pytest_plugins = ["fakes.engines"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-slow-tests", action="store_true", help="write tests/slow_tests.txt from this run")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-slow-tests"):
        config.pluginmanager.register(fast.Measure())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast tests, and let those that start servers, windows and shows come last."""
    fast.mark(items)
    items.sort(key=lambda item: sum(item.get_closest_marker(mark) is not None for mark in fast.HEAVY))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    return own_process.run(pyfuncitem) if pyfuncitem.get_closest_marker("own_process") else None


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What tpos-live says during the test, from INFO on, oldest first; grows meanwhile."""
    with heard_messages() as lines:
        yield lines
