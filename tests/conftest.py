"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from fakes import own_process

os.environ.setdefault("HF_HUB_OFFLINE", "1")

pytest_plugins = ["fakes.engines"]

HEAVY = ("gl", "display", "audio", "slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: those that start servers, windows and shows come last."""
    items.sort(key=lambda item: sum(item.get_closest_marker(mark) is not None for mark in HEAVY))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    return own_process.run(pyfuncitem) if pyfuncitem.get_closest_marker("own_process") else None
