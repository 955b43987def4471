"""How far a long piece of work has come: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import click
from tqdm import tqdm

from tpos_live.timing import hms

EVERY = 5.0
"""Seconds between lines where there is no terminal."""


class Progress:
    """A context manager. One thread."""

    def __init__(
        self,
        name: str,
        total: int,
        *,
        bar: bool | None = None,
        say: Callable[[str], None] = lambda line: click.echo(line, err=True),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """total: frames to make. bar: None = where the error output is a terminal."""
        self._name, self._total, self._say, self._clock = name, total, say, clock
        self._bar = tqdm(
            total=total, unit="frame", desc=name, disable=not (sys.stderr.isatty() if bar is None else bar)
        )
        self._done = 0
        self._began = self._said = 0.0

    def __enter__(self) -> Self:
        self._began = self._said = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def update(self) -> None:
        """One more frame is made."""
        self._done += 1
        self._bar.update()
        now = self._clock()
        if not self._bar.disable or now - self._said < EVERY:
            return
        self._said = now
        rate = self._done / max(now - self._began, 1e-6)
        left = (self._total - self._done) / rate
        self._say(
            f"{self._name}: {100 * self._done // max(self._total, 1)} %, {rate:.1f} frames per second, {hms(left)} left"
        )
