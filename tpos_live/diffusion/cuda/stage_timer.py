"""Measures the time of each stage of a frame, and the time for which a frame keeps the device busy.

On a card Python only queues work, so the host's clock cannot time a stage. CUDA events are recorded in the stream
between the stages, and read when the next frame begins, so that the host never waits for them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch

from tpos_live.core.timing import StageTimes

HOST, TOTAL = "host", "total"


class Event(Protocol):
    """A torch.cuda.Event with timing."""

    def record(self) -> None: ...

    def query(self) -> bool: ...

    def elapsed_time(self, end_event: Any) -> float: ...


class StageTimer:
    """Adds the time of each stage of a frame to `times`; their sum is TOTAL. Belongs to the render thread.

    HOST: time outside the other stages, which is Python's work. On a card, where Python runs ahead, it is the time in
    which the card had no work of the frame.
    """

    def __init__(
        self,
        device: torch.device,
        stages: Iterable[str],
        event: Callable[[], Event] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """stages: besides HOST and TOTAL. event: creates an event, None for CUDA's own. clock: in seconds."""
        if event is None and device.type == "cuda":
            event = lambda: torch.cuda.Event(enable_timing=True)  # noqa: E731
        self._stages = tuple(stages)
        self.times = StageTimes((HOST, *self._stages, TOTAL))
        self._event, self._clock = event, clock
        self._events: list[Event] = []
        self._entered: list[str] = []
        self._at: list[float] = []
        self._wall = 0.0
        self._complete = False
        self.busy_s = 0.0
        """Seconds for which the newest measured frame kept the device busy; on a card that is the frame before the
        newest.

        On a card it is the time from the first event to the last, including gaps in which the card waits for a slow
        host. Without a card it is the host's time."""

    def begin(self) -> None:
        """Begin a frame, with the stage HOST."""
        if self._event is not None:
            self._read_events()
        self._complete = False  # until `end`: a frame may fail in between
        self._entered.clear()
        self._at.clear()
        self.enter(HOST)

    def enter(self, stage: str) -> None:
        """Begin a stage, which ends the one before. The same stage may come several times in a frame."""
        self._entered.append(stage)
        self._at.append(self._clock())
        if self._event is not None:
            count = len(self._entered)
            if len(self._events) < count + 1:  # one more, for the end
                self._events += [self._event() for _ in range(count + 1 - len(self._events))]
            self._events[count - 1].record()

    def end(self) -> float:
        """End a frame whose pixels are ready. Returns the clock's time."""
        self._at.append(self._clock())
        self._wall = self._at[-1] - self._at[0]
        if self._event is not None:
            self._events[len(self._entered)].record()
            self._complete = True
        else:
            self.busy_s = self._wall
            self._add([later - earlier for earlier, later in itertools.pairwise(self._at)])
        return self._at[-1]

    def _read_events(self) -> None:
        last = len(self._entered)
        if not self._complete or not self._events[last].query():
            return
        events = self._events[: last + 1]
        self.busy_s = events[0].elapsed_time(events[-1]) / 1000
        self._add([one.elapsed_time(other) / 1000 for one, other in itertools.pairwise(events)])

    def _add(self, seconds: list[float]) -> None:
        """Add a frame's times. seconds: of each stage that was entered, in order."""
        rest = self._wall
        for stage in self._stages:
            found = sum(each for name, each in zip(self._entered, seconds, strict=True) if name == stage)
            self.times.add(stage, found)
            rest -= found
        self.times.add(HOST, max(rest, 0.0))
        self.times.add(TOTAL, self._wall)
