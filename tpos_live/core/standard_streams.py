"""Standard streams that are open and take every text."""

from __future__ import annotations

import io
import os
import sys


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
