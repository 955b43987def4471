"""What an input does not deliver: dropouts (missing samples), by comparing their count with the clock, and sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

QUIET = 1e-4
"""-80 dBFS: quieter signals count as no sound."""


@dataclass
class DropoutMeter:
    """Counts samples that a device dropped without reporting it.

    A block may be late, but never early. So the smallest lateness (clock time minus audio time) within a window is the
    true offset between the two clocks, without thread jitter. From one window to the next this offset may drift,
    because the device's clock is not the computer's; a jump of more than `threshold` is lost audio. If the offset jumps
    back, the audio was only late and is not counted as lost.

    samples: lost so far. rate: samples per second as the device reports it. window, threshold: seconds. drift: largest
    credible difference of two clocks (0.001 is ten times a bad crystal; virtual machines have shown 0.0004). Losses
    below the threshold accumulate if they come faster than the drift. One thread.
    """

    rate: float
    window: float = 2.0
    threshold: float = 0.008
    drift: float = 0.001
    samples: int = 0
    _start: tuple[float, int] | None = None
    _window_end: float = 0.0
    _min_lateness: float = float("inf")
    _offset: float | None = None

    def see(self, time: float, frames: int) -> None:
        """Record that the device had delivered `frames` in total at `time` (seconds). Call it at any rate."""
        if self._start is None:
            self._start = (time, frames)
            self._window_end = time + self.window
        elif time >= self._window_end:
            self._close_window()
            self._window_end = time + self.window
            self._min_lateness = float("inf")
        lateness = (time - self._start[0]) - (frames - self._start[1]) / self.rate
        self._min_lateness = min(self._min_lateness, lateness)

    def restart(self) -> None:
        """After an interruption, compare only later audio. The count of lost samples stays."""
        self._start = self._offset = None
        self._min_lateness = float("inf")

    def _close_window(self) -> None:
        if self._offset is None:
            self._offset = self._min_lateness
            return
        step = self._min_lateness - self._offset
        if step > self.threshold:
            self.samples += round(step * self.rate)
        elif step > 0:
            step = min(step, self.drift * self.window)
        elif step < -self.threshold:
            left = self.samples - round(-step * self.rate)
            self.samples = left if left > self.threshold * self.rate else 0  # less is only jitter
        self._offset += step


class SilenceMeter:
    """How long a source has been silent: its status shows it, and tells the user to check the input.

    Times are perf_counter. The thread that pulls the sound feeds it; `silent_for` may be called from anywhere."""

    def __init__(self) -> None:
        self._loud_at: float | None = None

    def begin(self, now: float) -> None:
        """Count from `now` on, unless it counts already."""
        if self._loud_at is None:
            self._loud_at = now

    def restart(self, now: float) -> None:
        """Count from `now` on."""
        self._loud_at = now

    def add(self, stereo: np.ndarray, now: float) -> None:
        """Take a block of samples, float32 [n, 2], n at least 1."""
        if np.abs(stereo).max() > QUIET:
            self._loud_at = now

    def silent_for(self, now: float) -> float:
        """Seconds since the last sample above QUIET, or since the start of the count; 0 before that."""
        return 0.0 if self._loud_at is None else max(now - self._loud_at, 0.0)
