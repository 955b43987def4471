"""What ALSA, JACK, PortAudio and mpg123 write to stderr on their own, kept off the terminal.

When a device is unplugged, PortAudio prints ten lines "Expression … failed" from its own thread, at a moment of its
own, and ALSA and JACK print more whenever a device that is away is tried again. The supervisor says the same in one
line. Neither library lets a program choose where such lines go, so the C library's `stderr` is given a pipe, and a
thread passes on what none of them wrote. Python's own stderr, and that of children, is file descriptor 2 as before.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import sys
import threading

PREFIXES = (
    b"Expression '", b"ALSA lib ", b"jack server is not running", b"JackShmReadWritePtr", b"Cannot connect to server",
    b"Cannot read socket fd", b"Note: Illegal Audio-MPEG-Header", b"Note: Trying to resync", b"Note: Skipped ",
    b"Note: Hit end of (available) data",
)  # fmt: skip
_lock = threading.Lock()
_installed = False


def filter_chatter() -> None:
    """Install the filter, once for the process; nothing where the C library is not glibc (elsewhere nothing of the
    kind is printed, or `stderr` cannot be replaced)."""
    global _installed
    with _lock:
        if _installed or not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
            return
        _installed = True
        try:
            _install()
        except (OSError, ValueError, AttributeError):
            return


def passes(line: bytes) -> bool:
    """Whether a line is none of the libraries'."""
    return bool(line.strip()) and not line.startswith(PREFIXES)


def _install() -> None:
    libc = ctypes.CDLL(None)
    libc.fdopen.restype = ctypes.c_void_p
    libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    stderr = ctypes.c_void_p.in_dll(libc, "stderr")
    if not os.fstat(2) or not stderr.value:
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # a full pipe loses lines, but holds up no audio thread
    stream = libc.fdopen(writing, b"w")
    if not stream:
        raise OSError("no stream")
    libc.setvbuf(stream, None, 1, 1024)  # _IOLBF: by lines, however many calls make one
    before, stderr.value = stderr.value, stream

    def restore() -> None:
        stderr.value = before

    atexit.register(restore)  # the last words of a dying process go straight out
    threading.Thread(target=_pass_on, args=(reading,), name="stderr-filter", daemon=True).start()


def _pass_on(reading: int) -> None:
    rest = b""
    while data := os.read(reading, 65536):
        *lines, rest = (rest + data).split(b"\n")
        kept = b"".join(line + b"\n" for line in lines if passes(line))
        if kept:
            try:
                os.write(2, kept)
            except OSError:
                return
