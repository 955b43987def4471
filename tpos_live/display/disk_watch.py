"""How long the disk lasts for a file that grows, and a message before it is full."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between checks of the disk."""
SHORT = (10.0, 2.0)
"""Minutes of free disk at which a message warns."""


class DiskWatch:
    """Belongs to the thread that writes; `minutes_left` may be read from anywhere."""

    def __init__(self) -> None:
        self.minutes_left = 0.0
        """Minutes until the disk is full, at the file's size so far; 0 while unknown."""
        self._looked = 0.0
        self._warned = len(SHORT) * [False]

    def look(self, now: float, folder: Path, seconds: float, written: int) -> None:
        """Check every LOOK seconds. now: seconds of any clock. seconds: length of what was written to `folder`, so many
        bytes."""
        if now - self._looked <= LOOK:
            return
        self._looked = now
        if seconds < LOOK or not written:
            return
        left = shutil.disk_usage(folder).free * seconds / written / 60
        self.minutes_left = max(left, 0.01)
        for i, limit in enumerate(SHORT):
            if left < limit and not self._warned[i]:
                self._warned[i] = True
                log.warning(f"recording: the disk is full in {left:.1f} minutes; make room, or end the recording")
                break
