"""Finds a folder where a recording continues when its disk is full or gone. On a thread: a disk may not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tpos_live.display.disk_watch import DiskUsage
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import check_folder

ENOUGH = 1e9
"""Free bytes that a folder needs for a recording to go on there: a quarter of an hour at 8 Mbit/s."""

AGAIN = 10.0
"""Seconds after which a search that found nothing may be repeated."""


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
