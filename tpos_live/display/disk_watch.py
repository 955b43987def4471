"""Watches the free space of the disk that a recording is written to, and warns before the disk is full."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import check_folder, gone, is_there

log = logging.getLogger(__name__)

CHECK_EVERY = 2.0
"""Seconds between checks of the disk."""
SHORT = (10.0, 2.0)
"""Minutes until the disk is full at which a message warns."""
LITTLE = 5e9
"""Free bytes at which a message warns."""
RESERVE = 0.3e9
"""Free bytes below which a recording continues in another folder, if there is one."""
ENOUGH = 1e9
"""Free bytes that a folder needs for a recording to go on there: a quarter of an hour at 8 Mbit/s."""

AGAIN = 10.0
"""Seconds after which a search that found nothing may be repeated."""


class Usage(Protocol):
    """The part of `shutil.disk_usage`'s result that is used: free bytes."""

    @property
    def free(self) -> int: ...


DiskUsage = Callable[[Path], Usage]


class DiskWatch:
    """Thread contract: the thread that writes the file calls `check`; any thread may read the attributes."""

    def __init__(self, usage: DiskUsage = shutil.disk_usage) -> None:
        self.minutes_left = 0.0
        """Minutes until the disk is full, at the file's size so far; 0 while unknown."""
        self.full = False
        """Less than RESERVE is free."""
        self._usage = usage
        self._checked_at = 0.0
        self._warned = len(SHORT) * [False]
        self._warned_of_little = False

    def check(self, now: float, path: Path, seconds: float, written: int) -> None:
        """Check the disk, at most every CHECK_EVERY seconds. now: seconds of any clock. path: the file. seconds,
        written: its length in seconds and in bytes.

        Raises DisplayError if the file is gone.
        """
        if now - self._checked_at <= CHECK_EVERY:
            return
        self._checked_at = now
        if not is_there(path):  # most systems still write a removed file, which is lost when it is closed
            raise gone(path)
        if seconds < CHECK_EVERY or not written:
            return
        try:
            free = self._usage(path.parent).free
        except OSError:  # some network shares do not report it; the recording continues
            return
        self.full = free < RESERVE
        left = free * seconds / written / 60
        self.minutes_left = max(left, 0.01)
        self._warn(free, left)

    def _warn(self, free: float, minutes: float) -> None:
        reached = [i for i, limit in enumerate(SHORT) if minutes < limit and not self._warned[i]]
        little = free < LITTLE and not self._warned_of_little
        if not reached and not little:
            return
        for i in reached[:1]:
            self._warned[i] = True
        self._warned_of_little = self._warned_of_little or free < LITTLE
        amount = f"{free / 1e9:.1f} GB" if free >= 1e8 else f"{free / 1e6:.0f} MB"
        lasts = f"{minutes:.1f} minutes" if minutes < 100 else f"{minutes / 60:.0f} hours"
        log.warning(f"recording: {amount} are free, the disk is full in {lasts}; make room, or end the recording")


class FolderSearch:
    """One search, which begins when it is created. Any thread may read it."""

    def __init__(self, folders: Sequence[Path], usage: DiskUsage) -> None:
        """folders: the best first. usage: of a folder's disk."""
        self.found: Path | None = None
        """The first folder that can be written and has ENOUGH space; None while `searching`, or if there is none."""
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(folders, usage), name="spare-folder", daemon=True)
        self._thread.start()

    @property
    def searching(self) -> bool:
        return self._thread.is_alive()

    @property
    def outdated(self) -> bool:
        """Whether it found nothing, and began more than AGAIN seconds ago."""
        return not self.searching and self.found is None and time.monotonic() - self._began > AGAIN

    def _run(self, folders: Sequence[Path], usage: DiskUsage) -> None:
        for folder in folders:
            try:
                check_folder(folder)
                if usage(folder).free > ENOUGH:
                    self.found = folder
                    return
            except (DisplayError, OSError):
                continue
