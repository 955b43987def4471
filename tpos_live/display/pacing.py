"""When to show the next picture: by the display's own beat where it gives one, else by a timer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

from tpos_live.core.frame import Frame

PROBE = 24
"""Pictures shown without a timer to find out whether flipping waits for the display."""
FALLBACK_REFRESH = 60.0
STALE = 0.5
"""Sound older than this (seconds) is a device that hangs, and says nothing about the path."""


class Pacer:
    """Decides how long to sleep after a flip. State only; the caller owns the clock and sleeps.

    Flipping is trusted as the beat where it takes a good part of a period by waiting and the whole
    lands near the display's period (vsync that really blocks). Where it returns at once (a driver
    that ignores vsync, a window on Windows, a hidden window) a timer keeps the pace. Two beats at
    once would stumble over each other, so it is always one of them.
    """

    def __init__(self, refresh: float = 0.0, cap: float = 0.0) -> None:
        """refresh: the display's pictures a second, 0 = unknown. cap: at most so many, 0 = no cap."""
        self.refresh = refresh or FALLBACK_REFRESH
        self.rate = min(self.refresh, cap) if cap > 0 else self.refresh
        self.restart()

    @property
    def period(self) -> float:
        """Seconds from picture to picture."""
        return 1.0 / self.rate

    def restart(self) -> None:
        """Look again at what flipping does, for instance on another screen."""
        self.by_display = False
        self._probing = self.rate > 0.95 * self.refresh
        self._steps: deque[float] = deque(maxlen=PROBE)
        self._flips: deque[float] = deque(maxlen=PROBE)
        self._last = self._due = -1.0

    def after_flip(self, now: float, flip_seconds: float) -> float:
        """Seconds to sleep. now: the moment after the flip. flip_seconds: how long the flip took."""
        if self._last >= 0:
            self._steps.append(now - self._last)
            self._flips.append(flip_seconds)
        self._last = now
        beat = 1.0 / self.refresh
        if self._probing or self.by_display:
            if len(self._steps) < PROBE:
                # Unknown yet: the timer holds a touch faster than the display, so it hides nothing.
                return self._timer(now, 0.9 * beat)
            waits = median(self._flips) > 0.1 * beat and median(self._steps) > 0.93 * beat
            self.by_display, self._probing = waits, False
        if self.by_display:
            return 0.0
        return self._timer(now, self.period)

    def _timer(self, now: float, period: float) -> float:
        self._due += period
        if self._due < now or self._due > now + 2 * period:
            # Late (a stall, a slow picture): start anew from here instead of hurrying after.
            self._due = now
            return 0.0
        return self._due - now


class Meter:
    """Rate over the last second, and the median of a value; the caller gives the time."""

    def __init__(self, window: float = 1.0) -> None:
        self._window = window
        self._seen: deque[tuple[float, float]] = deque()

    def add(self, now: float, value: float = 0.0) -> None:
        """Something happened at `now`, with this value."""
        self._seen.append((now, value))
        while self._seen[0][0] < now - self._window:
            self._seen.popleft()

    def rate(self, now: float) -> float:
        """Events a second, counted over the window; falls to 0 when nothing happens."""
        recent = [at for at, _ in self._seen if at >= now - self._window]
        if len(recent) < 2 or recent[-1] <= recent[0]:
            return float(len(recent)) if len(recent) < 2 else 0.0
        return (len(recent) - 1) / max(recent[-1] - recent[0], now - recent[0] - (recent[-1] - recent[-2]))

    def median(self) -> float:
        """Median of the values in the window, 0 without any."""
        return median(value for _, value in self._seen) if self._seen else 0.0


class ShownMeter:
    """What both stages tell of the pictures they show: how many a second, and how old their sound is."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.count = 0
        """Pictures shown since the start."""
        self.delay = 0.0
        """Seconds from newest sound to its events shown, smoothed; 0 while unknown. Any thread may read it."""
        self._rate, self._latency = Meter(), Meter()
        self._frame: Frame | None = None

    def note(self, now: float, frame: Frame | None, heard_at: float = 0.0) -> None:
        """A picture was shown at `now`; `frame` is the newest that the engine has given, heard_at: when the newest
        sound arrived whose events are in it, 0 without any."""
        self.count += 1
        self._rate.add(now)
        if heard_at > 0.0 and now - heard_at < STALE:
            self.delay += (now - heard_at - self.delay) * (0.1 if self.delay else 1.0)
        if frame is not None and frame is not self._frame:
            self._frame = frame
            self._latency.add(now, now - frame.heard_at)

    @property
    def fps(self) -> float:
        """Pictures shown a second, over the last second of the clock."""
        return self._rate.rate(self._clock())

    @property
    def latency_ms(self) -> float:
        """Median of the last second: from newest sound to its engine picture shown."""
        return 1000 * self._latency.median()
