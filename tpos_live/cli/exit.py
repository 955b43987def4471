"""How the process ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with this exit status.

    A thread that is inside a library, such as the loader importing PyTorch when a file cannot be decoded, cannot be
    interrupted. Python would end it while it takes itself down, and C++ code does not survive that: "FATAL: exception
    not rethrown", status 134. So everything is cleaned up here, and then the process ends without Python's own end.
    """
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # no such stream, or nobody reads it any more
            stream.flush()
    os._exit(code)


def expected(error: BaseException) -> bool:
    """True for our own errors, whose text is written for a person: no traceback."""
    of_a_file = isinstance(error, OSError) and error.filename is not None  # its text names the file
    known = of_a_file or isinstance(error, FileNotFoundError | PermissionError)
    return known or type(error).__module__.startswith("tpos_live.")
