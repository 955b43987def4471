"""Which process a number in a file means: numbers are given again, so when it was started is kept beside it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def is_running(process: Mapping[str, Any]) -> bool:
    """Whether the process with this `pid`, which was `born` then, lives; False for an empty mapping."""
    try:
        return bool(process) and born(process["pid"]) == process["born"]
    except (OSError, ValueError, IndexError, psutil.Error):
        return False


def born(pid: int) -> str:
    """When a process was started; the same as long as it lives, also if the computer's clock is set.

    On Linux the boot, and ticks since then: psutil adds the time of the boot, which moves with the clock, and a show
    that runs would seem to have crashed. Raises OSError or psutil.Error if there is no such process; one that was
    killed has no program any more, though its memory is still being freed, or nobody has asked for its end."""
    if not sys.platform.startswith("linux"):
        return str(psutil.Process(pid).create_time())
    with suppress(PermissionError):
        Path(f"/proc/{pid}/exe").readlink()
    # After the name, which may hold spaces and brackets: fields 3 and following of proc_pid_stat(5); 22 is the start.
    return f"{this_boot()} {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"


def this_boot() -> str:
    """Of Linux, another one for each start of the computer; "" elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
