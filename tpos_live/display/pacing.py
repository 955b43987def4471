"""Pacing of the window, by vsync where it works, else by a timer; and what is shown: rate and latency."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

from tpos_live.core.frame import Frame

PROBE = 24
"""Frames shown without a timer to find out whether the flip waits for the display."""
FALLBACK_REFRESH = 60.0
STALE = 0.5
"""Audio older than this (seconds) comes from a stalled device, and is not used to measure the delay."""


class Pacer:
    """Decides how long to sleep after a flip. State only; the caller owns the clock and sleeps.

    The flip is used as the clock where it waits for a considerable part of the period and the total is near the
    display's period (blocking vsync). Where it returns at once (a driver that ignores vsync, Windows in a window, a
    hidden window) a timer keeps the pace. Never both.
    """

    def __init__(self, refresh: float = 0.0, cap: float = 0.0) -> None:
        """refresh: the display's frames per second, 0 = unknown. cap: upper limit, 0 = none."""
        self.refresh = refresh or FALLBACK_REFRESH
        self.rate = min(self.refresh, cap) if cap > 0 else self.refresh
        self.restart()

    @property
    def period(self) -> float:
        """Seconds per frame."""
        return 1.0 / self.rate

    def restart(self) -> None:
        """Measure the flip again, for instance on another screen."""
        self.by_display = False
        self._probing = self.rate > 0.95 * self.refresh
        self._steps: deque[float] = deque(maxlen=PROBE)
        self._flips: deque[float] = deque(maxlen=PROBE)
        self._last = self._due = -1.0

    def after_flip(self, now: float, flip_seconds: float) -> float:
        """Seconds to sleep. now: the time after the flip. flip_seconds: how long the flip took."""
        if self._last >= 0:
            self._steps.append(now - self._last)
            self._flips.append(flip_seconds)
        self._last = now
        refresh_period = 1.0 / self.refresh
        if self._probing or self.by_display:
            if len(self._steps) < PROBE:
                # Not known yet: the timer runs a little faster than the display, so a blocking flip shows.
                return self._timer(now, 0.9 * refresh_period)
            waits = median(self._flips) > 0.1 * refresh_period and median(self._steps) > 0.93 * refresh_period
            self.by_display, self._probing = waits, False
        if self.by_display:
            return 0.0
        return self._timer(now, self.period)

    def _timer(self, now: float, period: float) -> float:
        self._due += period
        if self._due < now or self._due > now + 2 * period:
            # Late (a stall, a slow frame): restart from here instead of catching up.
            self._due = now
            return 0.0
        return self._due - now


class Meter:
    """Rate of events, and median of their values, in a sliding window; the caller passes the time.

    Thread contract: one thread adds; any thread may read.
    """

    def __init__(self, window: float = 1.0) -> None:
        self._window = window
        self._events: deque[tuple[float, float]] = deque()

    def add(self, now: float, value: float = 0.0) -> None:
        """An event at `now`, with this value."""
        self._events.append((now, value))
        while self._events[0][0] < now - self._window:
            self._events.popleft()

    def rate(self, now: float) -> float:
        """Events per second, over the window; falls to 0 when there are none."""
        recent = [at for at, _ in tuple(self._events) if at >= now - self._window]
        if len(recent) < 2 or recent[-1] <= recent[0]:
            return float(len(recent)) if len(recent) < 2 else 0.0
        return (len(recent) - 1) / max(recent[-1] - recent[0], now - recent[0] - (recent[-1] - recent[-2]))

    def median(self) -> float:
        """Median of the values in the window, 0 without any."""
        return median(value for _, value in seen) if (seen := tuple(self._events)) else 0.0


class ShownMeter:
    """Frames per second that are shown, and their latency; used by both displays."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.count = 0
        """Frames shown since the start."""
        self.delay = 0.0
        """Seconds from the newest audio to its events on the screen, smoothed; 0 while unknown. Any thread may read it.
        """
        self._rate, self._latency = Meter(), Meter()
        self._frame: Frame | None = None

    def note(self, now: float, frame: Frame | None, heard_at: float = 0.0) -> None:
        """A frame was shown at `now`. frame: the newest engine frame. heard_at: arrival of the newest audio whose
        events are in it, 0 without any."""
        self.count += 1
        self._rate.add(now)
        if heard_at > 0.0 and now - heard_at < STALE:
            self.delay += (now - heard_at - self.delay) * (0.1 if self.delay else 1.0)
        if frame is not None and frame is not self._frame:
            self._frame = frame
            if frame.heard_at > 0.0:  # 0: a frame of a show that died
                self._latency.add(now, now - frame.heard_at)

    @property
    def fps(self) -> float:
        """Frames shown per second, over the last second of the clock."""
        return self._rate.rate(self._clock())

    @property
    def latency_ms(self) -> float:
        """Median over the last second: from the newest audio to its engine frame on the screen."""
        return 1000 * self._latency.median()
