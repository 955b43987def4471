"""Memory that really runs out: a control group of Linux whose processes the kernel kills. Needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_FIRST = (_GROUPS / "memory", "memory.limit_in_bytes", "memory.oom_control")
_SECOND = (_GROUPS, "memory.max", "memory.events")
"""Version of the control groups: where they are, the file of the limit, and that which counts kills."""


@contextmanager
def memory_group(limit: int) -> Iterator[Path | None]:
    """A group whose processes may take `limit` more bytes; write a process's number to its `cgroup.procs`. None where
    there can be none. What a process had before it joined is not counted."""
    folder, limited, _ = _FIRST if _FIRST[0].is_dir() else _SECOND
    group = folder / f"tpos-live-test-{os.getpid()}"
    with suppress(OSError):  # not root, or control groups that limit no memory
        group.mkdir()
        (group / limited).write_text(str(limit))
    try:
        yield group if (group / limited).exists() else None
    finally:
        if group.exists():
            group.rmdir()


def killed_in(group: Path) -> int:
    """How many processes the kernel has killed for lack of memory."""
    path = next(group / name for *_, name in (_FIRST, _SECOND) if (group / name).exists())
    return int(dict(line.split() for line in path.read_text().splitlines())["oom_kill"])
