"""Waiting for another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.002
"""Seconds between two looks."""


def wait_until(true: Callable[[], object], seconds: float = 20.0) -> bool:
    """Look again and again until it is true; False after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(PAUSE)
    return bool(true())
