"""How the C library keeps freed memory (glibc; elsewhere these functions do nothing).

Each thread gets an arena of its own, of up to eight a core, and what is freed in one of them is of no use to the
others. A show whose recordings and sizes come and go for hours ends up with the largest need of every arena: 360 MB
were free and not usable after four minutes of quick actions, 60 MB with ARENAS.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading

ARENAS = 2
"""With two the frame rates of eager and OpenVINO were the same as with sixteen."""
SOON = 2.0
"""Seconds after a recording or a source has ended in which its memory is freed."""
_TRIM, _TOP_PAD, _MMAP, _ARENA_MAX = -1, -2, -3, -8


def share_arenas() -> None:
    """Let all threads share ARENAS arenas. Before most threads are started: arenas that exist stay."""
    _set((_ARENA_MAX, ARENAS))


def small_pages() -> None:
    """Let NumPy ask for no huge pages from now on.

    For each array of 4 MiB or more it asks, and the place stays marked when the array is freed. Whatever small thing
    lies there later takes 2 MiB, and the system fills what was given back again by itself, 16 MiB every 10 s: a soak
    of an hour took 44 MB more although 12 MB more were in use.
    """
    with contextlib.suppress(ImportError):  # no public way but a variable of the environment, read at the import
        from numpy._core import multiarray

        getattr(multiarray, "_set_madvise_hugepage", bool)(False)


def keep_pages() -> None:
    """Keep freed memory instead of giving it back to the system and faulting it in again every frame.

    A quarter of eager's time on a CPU (measured); a few tens of megabytes.
    """
    _set((_MMAP, 32 << 20), (_TRIM, 512 << 20), (_TOP_PAD, 64 << 20))


def give_back_later(seconds: float = SOON) -> None:
    """Give what is free between what is used back to the system, on a thread of its own: after a recording or a source
    has ended, whose memory is freed a little later. Any thread.

    190 MB took 21 ms, in which other threads allocated as fast as before (measured)."""
    timer = threading.Timer(seconds, _give_back)
    timer.name, timer.daemon = "give back", True
    timer.start()


def _give_back() -> None:
    if sys.platform.startswith("linux"):
        with contextlib.suppress(AttributeError, OSError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _set(*options: tuple[int, int]) -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    for option, value in options:
        mallopt(option, value)
