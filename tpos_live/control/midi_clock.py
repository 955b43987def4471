"""MIDI clock as a source of the beat: 24 ticks a beat, start, stop, continue and song position.

Ticks have some milliseconds of jitter. A least-squares line through the ticks of the last four beats gives tempo and
position; after a step of the tempo only the newest ticks are used.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from tpos_live.control.beat_source import ClockPosition

TICKS_PER_BEAT = 24
WINDOW, FIRST, NEWEST = 96, 25, 12
"""Most ticks in the fit; ticks that the first tempo needs; ticks that stay after a step of the tempo."""
STEP = 0.05
"""Relative difference between the tempo of the newest ticks and that of the line, above which the tempo has stepped."""
LOST_SECONDS = 0.5
"""Seconds without a tick after which the clock gives no beat."""
SLOWEST, FASTEST = 20.0, 400.0
"""Range of accepted tempi in BPM."""


class MidiClock:
    """A `TempoClock`. Thread contract: the MIDI thread makes all calls except `position`, which any thread may call."""

    name = "MIDI clock"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ticks: deque[float] = deque(maxlen=WINDOW)
        self._number = -1
        self._running = True
        self._line: tuple[float, float, float] | None = None

    def tick(self, at: float) -> None:
        """Take a clock message that arrived at `at` (perf_counter)."""
        with self._lock:
            if self._ticks and not 0.0 <= at - self._ticks[-1] < LOST_SECONDS:
                self._ticks.clear()
            self._ticks.append(at)
            if self._running:
                self._number += 1
            self._fit()

    def start(self) -> None:
        """Take a start message: the next tick is the first of a bar."""
        with self._lock:
            self._number, self._running = -1, True

    def stop(self) -> None:
        """Take a stop message: give no beat until the next start. Ticks are still recorded."""
        with self._lock:
            self._running, self._line = False, None

    def resume(self) -> None:
        """Take a continue message: go on from the last position, or from the song position."""
        with self._lock:
            self._running = True

    def locate(self, sixteenths: int) -> None:
        """Take a song position: the next tick after a continue is at this sixteenth note."""
        with self._lock:
            self._number = sixteenths * TICKS_PER_BEAT // 4 - 1

    def position(self, at: float) -> ClockPosition | None:
        """Tempo and beats at `at` (perf_counter); None while stopped or without ticks."""
        line = self._line
        if line is None or at - line[2] > LOST_SECONDS:
            return None
        rate, begin, _ = line
        return ClockPosition(60.0 * rate, rate * (at - begin))

    def _fit(self) -> None:
        count = len(self._ticks)
        if count < FIRST or not self._running:
            return
        times = np.array(self._ticks)
        newest = (times[-1] - times[-NEWEST]) / (NEWEST - 1)
        rate, middle = _line(times)
        if abs(newest * rate - 1.0) > STEP:
            for _ in range(count - NEWEST):
                self._ticks.popleft()
            times = times[-NEWEST:]
            rate, middle = _line(times)
        number = self._number - 0.5 * (len(times) - 1)
        beats = rate / TICKS_PER_BEAT
        if SLOWEST <= 60.0 * beats <= FASTEST:
            self._line = beats, middle - number / rate, float(times[-1])


def _line(times: np.ndarray) -> tuple[float, float]:
    """Ticks per second, and the time of the middle tick, by least squares. times: seconds [n]."""
    numbers = np.arange(times.size) - 0.5 * (times.size - 1)
    middle = float(times.mean())
    seconds = float(np.dot(numbers, times - middle) / np.dot(numbers, numbers))
    return 1.0 / max(seconds, 1e-6), middle
