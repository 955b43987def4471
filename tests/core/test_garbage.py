"""Garbage collection: none while loading, and none of loaded objects."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from tpos_live.core.garbage import free_all, leave_out_what_is_there, look_at_all, no_search_while_loading


class Node:
    """An object that can be in a reference cycle."""

    def __init__(self) -> None:
        self.other = self


@pytest.fixture(autouse=True)
def after() -> Iterator[None]:
    yield
    look_at_all()
    assert gc.isenabled()


def test_no_search_while_loading() -> None:
    with no_search_while_loading():
        assert not gc.isenabled()
        loaded = [Node() for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
    assert not any(found is loaded[0] for found in gc.get_objects())


def test_a_load_that_fails_ends_the_block() -> None:
    with pytest.raises(ValueError, match="no engine"), no_search_while_loading():
        raise ValueError("no engine")
    assert gc.isenabled()


def test_objects_made_after_the_load_are_collected() -> None:
    leave_out_what_is_there()
    seen = weakref.ref(Node())
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("free", [free_all, lambda: (look_at_all(), gc.collect())])
def test_what_was_left_out_can_be_freed(free) -> None:  # type: ignore[no-untyped-def]
    node = Node()
    seen = weakref.ref(node)
    leave_out_what_is_there()
    del node
    gc.collect()
    assert seen() is not None
    free()
    assert seen() is None
