"""Control of Python's cyclic garbage collector: objects of the libraries are excluded from its collections.

A full collection visits every object of the process and holds the GIL, so it stops the audio and render threads. With
the 300,000 objects of a show's libraries it took 60 to 190 ms, some seconds after the start and later, between two
frames of 25 ms (measured, `benchmarks/perform.py recalls`). Libraries stay loaded, so their objects need no collection.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search_while_loading() -> Iterator[None]:
    """Disable collections in this block (libraries load in 1.3 s instead of 1.5 s), and exclude its objects later.

    Acts on the whole process; blocks of two threads may overlap."""
    gc.disable()
    try:
        yield
    finally:
        leave_out_what_is_there()
        gc.enable()


def leave_out_what_is_there() -> None:
    """Exclude all existing objects from later collections (gc.freeze). Reference counting still frees them; reference
    cycles among them stay until `free_all` or `look_at_all`."""
    gc.freeze()


def look_at_all() -> None:
    """Include all objects again, after a show in a process that continues."""
    gc.unfreeze()


def free_all() -> None:
    """Run a full collection of all objects now. It stops the whole process, so use it only if its memory is needed."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
