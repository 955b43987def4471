"""Child processes that end with this one, however it ends.

A child that outlives the program wastes a core and gigabytes. Three independent mechanisms end it: the
kernel's parent-death signal (Linux), a thread in the child that checks for the parent every half second (everywhere),
and a time limit in the child, by the system's alarm where there is one.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Any

import psutil

from tpos_live.core.guard import Guard

log = logging.getLogger(__name__)

POLL = 0.5
"""Seconds between two checks for the parent."""
GRACE = 30.0
"""Seconds by which the child's limit is longer than the parent's, which reports the timeout."""
_PR_SET_PDEATHSIG = 1
_LINES = 20


class ChildError(Exception):
    """A child process failed: the reason, in one line."""


def run_module(
    module: str, arguments: Sequence[str], limit: float, on_line: Callable[[str], None] = lambda line: None
) -> None:
    """Call `main(arguments)` of a module in a child process, and wait until it ends.

    `main` returns the exit status; if it is not 0, its last line on stderr is the reason. limit: seconds after which
    the child is killed. on_line: gets the lines of its stdout, on another thread. The child cannot download from the
    Hugging Face hub, and has no terminal: Ctrl-C goes to this process. Raises ChildError.
    """
    command = [sys.executable, "-m", __name__, str(os.getpid()), str(limit + GRACE), module, *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    group: dict[str, Any] = {"process_group": 0}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    try:
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace", **group,
        )  # fmt: skip
    except OSError as error:
        raise ChildError(f"no process could be started: {error.strerror}") from error
    stderr_lines: deque[str] = deque(maxlen=_LINES)
    readers = [_reader(child.stdout, on_line), _reader(child.stderr, stderr_lines.append)]
    try:
        status = child.wait(limit)
    except subprocess.TimeoutExpired:
        raise ChildError(f"not done after {limit:.0f} s") from None
    finally:
        if child.returncode is None:
            _kill_descendants(child.pid)
            child.kill()
            child.wait()
        for reader in readers:
            reader.join(1.0)  # a grandchild may hold the pipe open
    if status:
        if status < 0:
            raise ChildError(f"ended by signal {-status}")
        raise ChildError((stderr_lines[-1] if stderr_lines else f"ended with status {status}")[:200])


def end_with_parent(parent: int, limit: float = 0.0) -> None:
    """End this process when process `parent` has ended, and after `limit` seconds; 0 = no limit.

    Call it first in a child. On Linux the parent is a thread: the thread that started this process must outlive it.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if limit and hasattr(signal, "alarm"):
        signal.alarm(math.ceil(limit))  # also ends a process that is busy inside a library
    threading.Thread(target=_watch, args=(parent, os.getppid(), limit), name="parent-watch", daemon=True).start()


def _watch(parent: int, adopter: int, limit: float) -> None:
    """Runs on a thread of the child. adopter: the parent process at the start: `parent`, or a program in between."""
    end = time.monotonic() + limit if limit else math.inf
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(parent)
        while os.getppid() == adopter and process.is_running() and time.monotonic() < end:
            if process.status() == psutil.STATUS_ZOMBIE:
                break
            time.sleep(POLL)
    _kill_descendants(os.getpid())
    os._exit(1)


def _kill_descendants(pid: int) -> None:
    """Kill the descendants of a process."""
    with contextlib.suppress(psutil.Error):
        for each in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                each.kill()


def _reader(stream: IO[str] | None, put: Callable[[str], object]) -> threading.Thread:
    """Start a thread that calls `put` with each non-empty line of a stream."""
    assert stream is not None

    def read() -> None:
        guard = Guard(log, "reading what a child process says")
        with stream:
            for line in stream:
                with guard:  # a full pipe would block the child
                    if line.strip():
                        put(line.rstrip())

    thread = threading.Thread(target=read, name="child-lines", daemon=True)
    thread.start()
    return thread


def main(arguments: list[str]) -> int:
    """The child's program. arguments: PARENT LIMIT MODULE ARGUMENTS…"""
    parent, limit, module, *rest = arguments
    end_with_parent(int(parent), float(limit))
    return int(importlib.import_module(module).main(rest))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
