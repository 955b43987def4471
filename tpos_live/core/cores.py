"""Which cores there are to work on."""

from __future__ import annotations

import os


def cores() -> list[int]:
    """The processor's cores that this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
