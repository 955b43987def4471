"""Progress of a long task: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import click
from tqdm import tqdm

from tpos_live.core.timing import hms

EVERY = 5.0
"""Seconds between lines where there is no terminal."""
TICK = 1.0
"""Seconds between two updates of the bar, also while no frame is finished."""
MARKS = 7
"""Number of lines over which the speed is averaged: half a minute."""


class Progress:
    """A context manager. One thread makes all calls; a second one refreshes the bar with elapsed and remaining time."""

    def __init__(
        self,
        name: str,
        total: int,
        *,
        bar: bool | None = None,
        clock: Callable[[], float] = time.perf_counter,
        tick: float = TICK,
    ) -> None:
        """total: number of frames. bar: None = if stderr is a terminal. clock: seconds. tick: seconds between
        refreshes."""
        self._name, self._total, self._clock = name, total, clock
        self._bar = tqdm(
            total=total, unit="frame", desc=name, disable=not (sys.stderr.isatty() if bar is None else bar)
        )
        self._tick, self._ended = tick, threading.Event()
        self._ticker = threading.Thread(target=self._refresh, name="progress", daemon=True)
        self.done = 0
        """Frames finished."""
        self._printed_at = 0.0
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS)

    def __enter__(self) -> Self:
        if not self._bar.disable:
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self._bar.close()

    def _refresh(self) -> None:
        while not self._ended.wait(self._tick):
            self._bar.refresh()

    def rename(self, name: str) -> None:
        """Change the name of the output."""
        self._name = name
        self._bar.set_description(name)

    def print(self, line: str) -> None:
        """Print a line on stderr, above the bar. Any thread."""
        self._bar.write(line, file=sys.stderr)

    def update(self) -> None:
        """One more frame is finished."""
        self.done += 1
        self._bar.update()
        now = self._clock()
        if not self._marks:  # the first frame waited for the engine and does not count for the speed
            self._marks.append((now, self.done))
            self._printed_at = now
            return
        if not self._bar.disable or now - self._printed_at < EVERY:
            return
        self._printed_at = now
        since, before = self._marks[0]
        self._marks.append((now, self.done))
        rate = (self.done - before) / max(now - since, 1e-6)
        left = (self._total - self.done) / rate
        share = 100 * self.done // max(self._total, 1)
        click.echo(f"{self._name}: {share} %, {rate:.1f} frames per second, {hms(left)} left", err=True)
