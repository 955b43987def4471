"""Folders that cannot be written, for root too: a read-only mount that only one process sees (Linux).

own_mounts()                  # first, in a test with the marker `own_process`
with read_only(folder): ...   # for this thread and those that it has started since
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NEW_MOUNTS = 0x20000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_DETACH = 2


def own_mounts() -> None:
    """Give this process mounts of its own; skip the test where the system does not allow it."""
    if sys.platform != "linux":
        pytest.skip("mount namespaces of Linux")
    try:
        _call("unshare", ctypes.c_int(_NEW_MOUNTS))
        _mount(Path("none"), Path("/"), _RECURSIVE | _PRIVATE)
    except OSError as error:
        pytest.skip(f"needs a mount namespace, which needs root: {error.strerror}")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in the folder can be written meanwhile."""
    _mount(folder, folder, _BIND)
    _mount(folder, folder, _BIND | _REMOUNT | _READ_ONLY)
    try:
        yield
    finally:
        _call("umount2", os.fsencode(folder), ctypes.c_int(_DETACH))


def _mount(source: Path, target: Path, flags: int) -> None:
    _call("mount", os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(flags), None)


def _call(name: str, *arguments: object) -> None:
    """Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
