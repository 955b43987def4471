"""What every test may use."""

from __future__ import annotations

import os
import shutil

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def require_tool(*names: str) -> None:
    """Skip the test where a program is missing; in CI it must be there, so fail."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        unavailable(f"needs {', '.join(missing)}")


def unavailable(reason: str) -> None:
    """Skip with a reason; in CI nothing may be missing, so fail."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must provide this: {reason}")
    pytest.skip(reason)
