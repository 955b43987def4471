"""The priority of threads that do heavy work: engine, encoders. Beside them runs what must be on time."""

from __future__ import annotations

import os
import sys
import threading

_nice = 0


def set_heavy_nice(nice: int) -> None:
    """nice: 0 to 19, of the threads that call `use_heavy_nice` from now on; 0 leaves them as they are.

    On Windows, which has no such number, any other one lowers the whole process by a class (unproven).
    """
    global _nice
    _nice = nice
    if nice and sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)


def use_heavy_nice() -> None:
    """Called at the start of a thread with heavy work. Linux only: threads have priorities of their own there, and
    those that it starts, as the ones of OpenVINO and PyTorch, inherit its. It cannot be taken back."""
    if _nice:
        lower_this_thread(_nice)


def lower_this_thread(nice: int) -> None:
    """Let the calling thread, and those that it starts from now on, run at a nice of at least `nice`, 0 to 19. Linux
    only; elsewhere nothing happens. It cannot be taken back."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(nice, os.getpriority(os.PRIO_PROCESS, thread)))
