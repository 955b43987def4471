"""Removes messages of ALSA, JACK, PortAudio and mpg123 from stderr.

When a device is unplugged, PortAudio prints ten lines "Expression … failed" from its own thread, and ALSA and JACK
print more at each retry. The supervisor reports the same in one line. Neither library has an option for its messages,
so the C library's `stderr` is replaced by a pipe, and a thread forwards all other lines. Python's own stderr, and that
of child processes, is file descriptor 2 as before. This works on Linux with glibc. Elsewhere `quiet_stderr` discards
stderr while a device is opened, which macOS needs.
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
_quiet_lock = threading.Lock()
_tried = _installed = False


def install_stderr_filter() -> None:
    """Install the filter, once per process, where the C library is glibc."""
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
    """Discard stderr during a call into PortAudio, where there is no filter, and for one call at a time."""
    if _installed or not _quiet_lock.acquire(blocking=False):  # else a second thread would save os.devnull as stderr
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # no stderr, as under pythonw
        _quiet_lock.release()
        yield
        return
    try:
        with Path(os.devnull).open("wb") as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        _quiet_lock.release()


def passes(line: bytes) -> bool:
    """Whether the filter forwards a line: it is not empty, and not from these libraries."""
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
    os.set_blocking(writing, False)  # a full pipe drops lines, but blocks no audio thread
    stream = libc.fdopen(writing, b"w")
    if not stream:
        raise OSError("no stream")
    libc.setvbuf(stream, None, 1, 1024)  # _IOLBF: a line written by several calls is flushed as one
    before, stderr.value = stderr.value, stream

    def restore() -> None:
        stderr.value = before

    atexit.register(restore)  # at exit, libraries print directly
    threading.Thread(target=_forward, args=(reading,), name="stderr-filter", daemon=True).start()
    return True


def _forward(reading: int) -> None:
    rest = b""
    while data := os.read(reading, 65536):
        *lines, rest = (rest + data).split(b"\n")
        kept = b"".join(line + b"\n" for line in lines if passes(line))
        if kept:
            try:
                os.write(2, kept)
            except OSError:
                return
