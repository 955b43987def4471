"""Stage timings (ring buffers of durations, with percentiles), frame grids, rates, and times as text."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np


class StageTimes:
    """The last `size` durations of each named stage.

    Thread contract: one thread calls `add`; any thread may read. A reader may miss the newest duration; neither waits
    for the other.
    """

    def __init__(self, stages: Iterable[str] = (), size: int = 2048) -> None:
        """stages: listed also before their first duration; `add` adds others. size: durations kept per stage."""
        self._rings = {stage: np.zeros(size) for stage in stages}
        self._counts = dict.fromkeys(self._rings, 0)
        self._size = size

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self._rings)

    def add(self, stage: str, seconds: float) -> None:
        """Store one duration."""
        if stage not in self._rings:
            self._rings[stage] = np.zeros(self._size)
        count = self._counts.get(stage, 0)
        self._rings[stage][count % self._size] = seconds
        self._counts[stage] = count + 1

    def count(self, stage: str) -> int:
        """Durations stored since the start or the last `clear`."""
        return self._counts.get(stage, 0)

    def values(self, stage: str) -> np.ndarray:
        """float64 [n], n at most `size`: the stored durations in seconds, unordered."""
        count = min(self.count(stage), self._size)
        return self._rings[stage][:count].copy() if count else np.zeros(0)

    def percentiles(self, stage: str, at: tuple[float, ...] = (50, 95, 99)) -> tuple[float, ...]:
        """Percentiles in seconds; zeros without durations."""
        values = self.values(stage)
        return tuple(np.percentile(values, at).tolist()) if len(values) else (0.0,) * len(at)

    def clear(self) -> None:
        """Remove all durations, for instance after warm-up. Call from the writing thread."""
        for stage in self._counts:
            self._counts[stage] = 0


class FrameGrid:
    """Times at which the frames of a loop or an output are due. The clock is passed in.

    Small delays do not add up; after a stall of more than a frame the grid restarts, so nothing tries to catch up.
    """

    def __init__(self, fps: float) -> None:
        """fps: 0 = no cap."""
        self.fps = fps
        self._due = -math.inf

    def wait(self, now: float) -> float:
        """Seconds to wait at `now` until the next frame is due."""
        return max(self._due - now, 0.0)

    def begin(self, now: float, every: int = 1) -> None:
        """A frame begins at `now`; the next one is due `every` frames later."""
        if self.fps > 0:
            period = every / self.fps
            self._due = (self._due if now - self._due <= period else now) + period

    def due(self, now: float, every: int = 1) -> bool:
        """Whether a frame is due at `now`, a quarter of a period of `every` frames early at most; then it begins."""
        if self.wait(now) > 0.25 * every / self.fps:
            return False
        self.begin(now, every)
        return True


class Rate:
    """Growth rate of a total: frames per second, seconds of work per second. The clock is passed in."""

    def __init__(self, every: float = 0.5) -> None:
        """every: shortest interval in seconds between two updates."""
        self._every = every
        self._before: tuple[float, float] | None = None
        self._rate = 0.0

    def at(self, now: float, total: float) -> float:
        """Growth per second between the last two updates; 0 before the second one, and after a reset of the total."""
        if self._before is None:
            self._before = now, total
        elif now - self._before[0] >= self._every:
            self._rate = max(total - self._before[1], 0.0) / (now - self._before[0])
            self._before = now, total
        return self._rate


def hms(seconds: float) -> str:
    """1:02:03 or 2:03."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
