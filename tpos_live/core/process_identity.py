"""Identifies a process by id and start time, because systems use process ids again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def is_running(process: Mapping[str, Any]) -> bool:
    """Whether the process with this `pid` and start time `born` is running; False for an empty mapping."""
    try:
        return bool(process) and born(process["pid"]) == process["born"]
    except (OSError, ValueError, IndexError, psutil.Error):
        return False


def born(pid: int) -> str:
    """The start time of a process, as text. It stays the same while the process runs, also if the clock is set.

    On Linux it is the boot id, and ticks since boot: psutil adds the boot time, which moves with the clock, so a
    running show would seem to have crashed. Raises OSError or psutil.Error if there is no such process. A killed
    process counts as ended while its memory is being freed, and as a zombie."""
    if not sys.platform.startswith("linux"):
        return str(psutil.Process(pid).create_time())
    with suppress(PermissionError):
        Path(f"/proc/{pid}/exe").readlink()
    # After the name, which may hold spaces and brackets: fields 3 and following of proc_pid_stat(5); 22 is the start.
    return f"{this_boot()} {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"


def this_boot() -> str:
    """The boot id on Linux, which differs for each start of the computer; "" elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
