"""The CPU cores that this process may use, and the niceness of its threads.

Threads with heavy work (engine, encoders) have a lower priority, so that time-critical threads run on time.
"""

from __future__ import annotations

import os
import sys
import threading

_nice = 0


def usable_cores() -> list[int]:
    """Numbers of these cores, at least one. A pinned process (`taskset`, a container's cpuset) may not use all
    cores."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def set_heavy_nice(nice: int) -> None:
    """Set the niceness, 0 to 19, of threads that call `use_heavy_nice` later; 0 = no change.

    Windows has no niceness: there any value above 0 lowers the priority class of the whole process (untested).
    """
    global _nice
    _nice = nice
    if nice and sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)


def use_heavy_nice() -> None:
    """Call it at the start of a thread with heavy work. Linux only, where each thread has its own priority. Threads
    that it starts, such as those of OpenVINO and PyTorch, inherit it. It cannot be undone."""
    if _nice:
        lower_this_thread(_nice)


def lower_this_thread(nice: int) -> None:
    """Let the calling thread, and those that it starts from now on, run at a nice of at least `nice`, 0 to 19. Linux
    only; elsewhere nothing happens. It cannot be undone."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(nice, os.getpriority(os.PRIO_PROCESS, thread)))
