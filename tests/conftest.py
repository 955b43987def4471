"""What holds for every test."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

HEAVY = ("gl", "display", "audio", "slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: those that start servers, windows and shows come last."""
    items.sort(key=lambda item: sum(item.get_closest_marker(mark) is not None for mark in HEAVY))
