"""Waiting for another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable

SHORTEST, LONGEST = 0.002, 0.05
"""Seconds between two looks. The rest follows from how long one takes: looking must not keep what it waits for from
its core."""


def wait_until(true: Callable[[], object], seconds: float = 20.0) -> bool:
    """Look again and again until it is true; False after so many seconds."""
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        if true():
            return True
        time.sleep(min(max(9.0 * (time.monotonic() - began), SHORTEST), LONGEST))
    return bool(true())
