"""Settings of malloc in glibc against fragmentation (these functions do nothing with other C libraries).

Threads use different arenas, up to eight per core, and memory freed in one arena cannot be used by the others. In a
show with many recordings and changes of size, each arena grows to its own peak: after four minutes of quick actions 360
MB were free and not usable, 60 MB with ARENAS.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from pathlib import Path

ARENAS = 2
"""Number of arenas. With 2, the frame rates of eager and OpenVINO were the same as with 16."""
SOON = 2.0
"""Seconds from the end of a recording or a source to `malloc_trim`: its memory is freed a little after its end."""
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_NO_HUGE_PAGES = 41
"""PR_SET_THP_DISABLE of prctl(2)."""
_TRIM, _TOP_PAD, _MMAP, _ARENA_MAX = -1, -2, -3, -8
_LARGEST = 32 << 20
"""Bytes from which blocks are mapped by the system and returned to it: the maximum of glibc's dynamic threshold."""
_BLOCK = 100 << 10
"""Bytes of a block whose release trims the top of its arena; glibc does this from 64 KiB on."""
_kept = ((_TRIM, 2 * _LARGEST), (_TOP_PAD, 128 << 10))
"""Current limits of free memory at the top of an arena: glibc's defaults, or those of `keep_pages`."""


def share_arenas() -> None:
    """Let all threads share ARENAS arenas. Call it before most threads start, because existing arenas stay."""
    _set((_ARENA_MAX, ARENAS))


def small_pages() -> None:
    """Disable transparent huge pages for this process, on systems in the mode "madvise" (in the mode "always" they
    stay).

    x264 and NumPy request them for each block from 2 or 4 MiB on, and the address range stays marked after the block is
    freed: a small object there later occupies 2 MiB, and the system fills trimmed memory again. PyTorch and OpenVINO do
    not request them.
    """
    with contextlib.suppress(AttributeError, OSError):
        if "[madvise]" in _HUGE_PAGES.read_text(encoding="ascii"):
            ctypes.CDLL(None).prctl(_NO_HUGE_PAGES, 1, 0, 0, 0)


def keep_pages() -> None:
    """Keep freed memory in the process, instead of returning it to the system and faulting it in again every frame.

    This saves 25 % of eager's time on a CPU (measured), and costs some tens of megabytes.
    """
    global _kept
    _kept = ((_TRIM, 512 << 20), (_TOP_PAD, 64 << 20))
    _set((_MMAP, _LARGEST), *_kept)


def give_back_later(seconds: float = SOON) -> None:
    """Return free memory to the system after `seconds`, on another thread. Call it after a recording, a source or an
    input has ended, because its memory is freed a little later. Any thread.

    190 MB took 21 ms, during which other threads allocated as fast as before (measured). It also runs a collection of
    reference cycles, such as a PortAudio stream with its callback and a buffer of 0.8 MB: a show makes so few objects
    that Python itself runs none for hours. The collection visits some thousand objects (`core/garbage.py`)."""
    timer = threading.Timer(seconds, _give_back)
    timer.name, timer.daemon = "give back", True
    with contextlib.suppress(RuntimeError):  # no thread can be started; the caller must go on
        timer.start()


def _give_back() -> None:
    if gc.get_freeze_count():  # otherwise it would visit all objects of the libraries, which takes 0.2 s
        gc.collect()
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(AttributeError, OSError):  # another C library
        library = ctypes.CDLL(None)
        library.malloc_trim(0)
        # malloc_trim skips the top of all arenas but the first, tens of megabytes after a recording. Freeing a block in
        # an arena trims its top. New threads take the arenas in turn; twice as many threads reach all, if one is
        # locked.
        library.malloc.restype, library.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
        _set((_MMAP, _LARGEST), (_TRIM, _BLOCK), (_TOP_PAD, 0))
        threads = [threading.Thread(target=lambda: library.free(library.malloc(_BLOCK))) for _ in range(2 * ARENAS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _set(*_kept)


def _set(*options: tuple[int, int]) -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    for option, value in options:
        mallopt(option, value)
