"""Tests that need a program of the system."""

from __future__ import annotations

import os
import shutil

import pytest


def require_tool(*names: str) -> None:
    """Skip the test where a program is missing; in CI nothing may be missing, so fail."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {', '.join(missing)}")
