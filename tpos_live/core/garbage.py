"""When Python looks for garbage, the objects that only refer to each other: seldom, and never among all of a show's.

A full search visits every object of the process, and no other Python thread runs meanwhile: neither the sound's nor the
one that draws. With the 300,000 objects that the libraries of a show bring it took 60 to 190 ms, some seconds after the
start and later, between two frames of 25 ms (measured, `benchmarks/perform.py recalls`). What has been loaded stays, so
it need not be looked at again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search_while_loading() -> Iterator[None]:
    """Let no search run in this block (the libraries load in 0.2 of 1.5 s less), and none look at what it leaves.

    For the whole process; blocks of two threads may overlap."""
    gc.disable()
    try:
        yield
    finally:
        leave_out_what_is_there()
        gc.enable()


def leave_out_what_is_there() -> None:
    """Leave all objects that exist out of later searches. They are freed as before once nothing refers to them; those
    that refer to each other only by `free_all` or after `look_at_all`."""
    gc.freeze()


def look_at_all() -> None:
    """Let searches look at all objects again: after a show, where the process goes on."""
    gc.unfreeze()


def free_all() -> None:
    """Search among all objects now. Holds up the whole process: only where its memory is needed."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
