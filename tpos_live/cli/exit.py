"""The end of the process, and which errors are printed without a traceback."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with this exit status.

    A thread inside a library, such as the loader that imports PyTorch, cannot be interrupted. Python's finalization
    would kill it, and C++ code then aborts: "FATAL: exception not rethrown", status 134. So this function cleans up,
    and ends the process without Python's finalization.
    """
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # no such stream, or its reader is gone
            stream.flush()
    os._exit(code)


def expected(error: BaseException) -> bool:
    """Whether the text of an error is meant for the user, so that no traceback is printed."""
    of_a_file = isinstance(error, OSError) and error.filename is not None  # its text names the file
    known = of_a_file or isinstance(error, FileNotFoundError | PermissionError)
    return known or type(error).__module__.startswith("tpos_live.")
