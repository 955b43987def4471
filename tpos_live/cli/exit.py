"""The standard streams, the end of the process, and which errors are printed without a traceback."""

from __future__ import annotations

import atexit
import errno
import io
import os
import re
import sys
import threading
from contextlib import suppress
from typing import NoReturn

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG) if os.name != "nt" else (errno.ENOSPC, errno.EIO)
"""Errors of a stream or a disk that takes nothing more."""


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


def text_of(error: BaseException) -> str:
    """The line for the user of an error that can be expected; "" for a fault of the program, which gets a traceback."""
    if isinstance(error, OSError) and error.errno is not None:
        system = re.sub(r"^\[\w+ -?\d+\] ", "", str(error))
        if error.filename is not None:  # its text names the file
            return system
        if error.errno == errno.ENOENT:  # os.getcwd
            return "the current folder was removed; change to another one"
        return f"cannot write: {system}; make room, or write elsewhere" if error.errno in _NO_ROOM else ""
    known = isinstance(error, FileNotFoundError | PermissionError) or type(error).__module__.startswith("tpos_live.")
    return str(error) if known else ""


def complete_streams() -> None:
    """Connect closed standard streams to the null device, and let stdout and stderr escape what they cannot encode.

    A shell closes a stream by `>&-`. Then the next file that is opened, a recording perhaps, gets its number, and the
    prints of C libraries go into that file. A terminal of one byte a character has no "…", and UTF-8 has none of the
    bytes that a file's name on Linux may contain: without escapes the command would fail after its work.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
