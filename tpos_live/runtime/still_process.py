"""The watchdog's side of the still: starts its process, sends commands, and starts it again if it ends."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import subprocess
import sys
from collections.abc import Callable

from tpos_live.core.errors import reason
from tpos_live.runtime.frame_memory import FrameMemory

log = logging.getLogger(__name__)

AGAIN, SELDOM = 5.0, 320.0
"""Backoff: seconds from one start to the next if the still ends by itself. AGAIN at first, doubled for each still that
has not lasted, SELDOM at most."""
LASTED = 60.0
"""Seconds after which a still has lasted: the backoff starts over."""
NO_WINDOW = 3
"""Exit status of a still that can open no window: it is not started again."""


def read_commands(descriptor: int, seconds: float) -> list[str] | None:
    """The still's side of `cover`: the commands that have come, after a wait of at most `seconds`; None at the end.

    Reads without a buffer: `select` would not see a command in a buffer, and the still would cover the show."""
    if not select.select([descriptor], [], [], seconds)[0]:
        return []
    return os.read(descriptor, 4096).decode(errors="replace").split() or None


class StillProcess:
    """Thread contract: that of the Watchdog."""

    def __init__(self, memory: FrameMemory, clock: Callable[[], float]) -> None:
        self._memory, self._clock = memory, clock
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted, self._covers, self._failure_logged = True, False, False
        self._began, self._pause = -math.inf, AGAIN / 2

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def awaited(self) -> bool:
        """Whether it waits for the first frame, with which it is started."""
        return self._wanted and self._process is None and not self._memory.count

    def look_after(self) -> None:
        """Start it once there is a frame (earlier it would slow the start of the show), and again if it has ended."""
        if not self._memory.count:
            return
        now = self._clock()
        if self._process is not None and (status := self._process.poll()) is not None:
            self.end()
            self._process, self._wanted = None, status != NO_WINDOW
            if self._wanted:
                log.warning("the process that keeps the last frame has ended: it is started again")
            if now - self._began > LASTED:
                self._pause = AGAIN
        if self._wanted and self._process is None and now >= self._began + self._pause:
            self._began, self._pause = now, min(2 * self._pause, SELDOM)
            self._start()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tpos_live.runtime.still_window", str(self._memory.descriptor)],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[self._memory.descriptor], process_group=0, bufsize=0,
            )  # fmt: skip
        except OSError as error:  # the show is started again all the same
            if not self._failure_logged:
                log.warning(f"no window can keep the last frame if the show dies ({reason(error)})")
            self._failure_logged = True
        if self._covers:
            self.cover(True)

    def cover(self, covers: bool) -> None:
        """Show the last frame above everything, or go below the show's window."""
        self._covers = covers
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it has ended: the show is started again all the same
                self._process.stdin.write(b"show\n" if covers else b"hide\n")

    def let_go(self) -> None:
        """Close the pipe to it, without waiting for its end. A forked process must do so too: with an open copy of the
        pipe the still would outlive the watchdog."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # not os.close: the number may become another file's

    def end(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
