"""Memory that really runs out: a control group of Linux whose processes the kernel kills. Needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_GROUPS = Path("/sys/fs/cgroup")
_FIRST = (_GROUPS / "memory", "memory.limit_in_bytes", "memory.oom_control")
_SECOND = (_GROUPS, "memory.max", "memory.events")
"""Version of the control groups: where they are, the file of the limit, and that which counts kills."""


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """A group whose processes may take `limit` more bytes; write a process's number to its `cgroup.procs`. Skips the
    test where there is none. What a process had before it joined is not counted."""
    folder, limited, _ = _FIRST if _FIRST[0].is_dir() else _SECOND
    group = folder / f"tpos-live-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs a control group, which needs root: {error.strerror}")
    try:
        try:
            (group / limited).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"this system's control groups limit no memory: {error.strerror}")
        yield group
    finally:
        group.rmdir()


def killed_in(group: Path) -> int:
    """How many processes the kernel has killed for lack of memory."""
    path = next(group / name for *_, name in (_FIRST, _SECOND) if (group / name).exists())
    return int(dict(line.split() for line in path.read_text().splitlines())["oom_kill"])
