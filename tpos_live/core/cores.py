"""The CPU cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> list[int]:
    """Numbers of these cores, at least one. A pinned process (`taskset`, a container's cpuset) may not use all
    cores."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
