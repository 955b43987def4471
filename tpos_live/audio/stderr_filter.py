"""What ALSA, JACK, PortAudio and mpg123 write to stderr on their own, kept off the terminal.

When a device is unplugged, PortAudio prints ten lines "Expression … failed" from its own thread, at a moment of its
own, and ALSA and JACK print more whenever a device that is away is tried again. The supervisor says the same in one
line. Neither library lets a program choose where such lines go, so the C library's `stderr` is given a pipe, and a
thread passes on what none of them wrote. Python's own stderr, and that of children, is file descriptor 2 as before.
This is for Linux with glibc. Elsewhere `quiet_stderr` sends stderr nowhere while a device is opened, as macOS needs it.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIXES = (
    b"Expression '", b"ALSA lib ", b"jack server is not running", b"JackShmReadWritePtr", b"Cannot connect to server",
    b"Cannot read socket fd", b"Note: Illegal Audio-MPEG-Header", b"Note: Trying to resync", b"Note: Skipped ",
    b"Note: Hit end of (available) data",
)  # fmt: skip
_lock = threading.Lock()
_quiet = threading.Lock()
_tried = _installed = False


def install_stderr_filter() -> None:
    """Install the filter, once for the process, where the C library is glibc."""
    global _tried, _installed
    with _lock:
        if _tried or not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
            return
        _tried = True
        try:
            _installed = _install()
        except (OSError, ValueError, AttributeError):
            return


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Where there is no filter: send stderr nowhere for the length of a call into PortAudio, one call at a time."""
    if _installed or not _quiet.acquire(blocking=False):  # else two threads could take the other's nowhere for stderr
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # no stderr, as under pythonw
        _quiet.release()
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        _quiet.release()


def passes(line: bytes) -> bool:
    """Whether a line is none of the libraries'."""
    return bool(line.strip()) and not line.startswith(PREFIXES)


def _install() -> bool:
    libc = ctypes.CDLL(None)
    libc.fdopen.restype = ctypes.c_void_p
    libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    stderr = ctypes.c_void_p.in_dll(libc, "stderr")
    os.fstat(2)  # raises OSError where there is none
    if not stderr.value:
        return False
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
    return True


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
