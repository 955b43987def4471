"""How the C library keeps freed memory (glibc; elsewhere these functions do nothing).

Each thread gets an arena of its own, of up to eight a core, and what is freed in one of them is of no use to the
others. A show whose recordings and sizes come and go for hours ends up with the largest need of every arena: 360 MB
were free and not usable after four minutes of quick actions, 60 MB with ARENAS.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from pathlib import Path

ARENAS = 2
"""With two the frame rates of eager and OpenVINO were the same as with sixteen."""
SOON = 2.0
"""Seconds after a recording or a source has ended in which its memory is freed."""
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_NO_HUGE_PAGES = 41
"""PR_SET_THP_DISABLE of prctl(2)."""
_TRIM, _TOP_PAD, _MMAP, _ARENA_MAX = -1, -2, -3, -8
_LARGEST = 32 << 20
"""Bytes from which a block comes from the system and returns to it: where glibc's own limit ends that grows as blocks
are freed."""
_BLOCK = 100 << 10
"""Bytes; from 64 KiB on a freed block has its arena's end looked at."""
_kept = ((_TRIM, 2 * _LARGEST), (_TOP_PAD, 128 << 10))
"""What may lie free at the end of an arena: as glibc's own limits, or `keep_pages`."""


def share_arenas() -> None:
    """Let all threads share ARENAS arenas. Before most threads are started: arenas that exist stay."""
    _set((_ARENA_MAX, ARENAS))


def small_pages() -> None:
    """Let no library of this process have huge pages, on a system that gives them to those who ask (Linux's default is
    that, or to all, which stays).

    x264 and NumPy ask for them, for each block of 2 or 4 MiB and more, and the place stays marked when the block is
    freed. Whatever small thing lies there later takes 2 MiB, and the system fills what was given back again by itself.
    Neither PyTorch nor OpenVINO asks.
    """
    with contextlib.suppress(AttributeError, OSError):
        if "[madvise]" in _HUGE_PAGES.read_text(encoding="ascii"):
            ctypes.CDLL(None).prctl(_NO_HUGE_PAGES, 1, 0, 0, 0)


def keep_pages() -> None:
    """Keep freed memory instead of giving it back to the system and faulting it in again every frame.

    A quarter of eager's time on a CPU (measured); a few tens of megabytes.
    """
    global _kept
    _kept = ((_TRIM, 512 << 20), (_TOP_PAD, 64 << 20))
    _set((_MMAP, _LARGEST), *_kept)


def give_back_later(seconds: float = SOON) -> None:
    """Give what is free between what is used back to the system, on a thread of its own: after a recording, a source or
    an input has ended, whose memory is freed a little later. Any thread.

    190 MB took 21 ms, in which other threads allocated as fast as before (measured). What has ended and refers to
    itself, as a stream of PortAudio with its callback and our buffer of 0.8 MB, is searched for too: a show makes so
    few objects that Python itself does not for hours. It looks at those made since the start (`core/garbage.py`), some
    thousands."""
    timer = threading.Timer(seconds, _give_back)
    timer.name, timer.daemon = "give back", True
    with contextlib.suppress(RuntimeError):  # the system gives no thread; whoever calls is ending something
        timer.start()


def _give_back() -> None:
    if gc.get_freeze_count():  # elsewhere it would look at all that the libraries have made, 0.2 s
        gc.collect()
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(AttributeError, OSError):  # another C library
        library = ctypes.CDLL(None)
        library.malloc_trim(0)
        # It leaves the end of all arenas but the first, tens of megabytes after a recording. That is given back where a
        # block is freed in the arena. Threads get the arenas in turn; twice as many reach each, should one be locked.
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
