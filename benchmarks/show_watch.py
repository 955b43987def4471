"""Runs a live show until a condition holds, and measures the longest time without a new engine frame."""

from __future__ import annotations

import time
from collections.abc import Callable

from tpos_live.runtime.live_session import LiveSession

LONGEST = 60.0
"""Timeout of `ShowWatch.wait` in seconds."""


class ShowWatch:
    """Watches one show; for the thread that runs the show."""

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._drawn, self._drawn_at = 0, 0.0
        self.oldest = 0.0
        """Longest time without a new frame of the engine since `begin`, seconds."""
        self.begin()

    def begin(self) -> None:
        """Reset the measurement."""
        self._drawn_at, self.oldest = time.perf_counter(), 0.0

    def wait(self, happened: Callable[[], bool], begun: float | None = None) -> float:
        """Run the show until `happened` returns True; returns the seconds since `begun` (time.perf_counter; None =
        now). Raises TimeoutError after LONGEST."""
        begun = time.perf_counter() if begun is None else begun
        end, came = time.perf_counter() + LONGEST, False

        def over() -> bool:
            nonlocal came
            self._look()
            came = happened()
            return came or time.perf_counter() > end

        self._session.run_until(over)
        if not came:
            raise TimeoutError
        return time.perf_counter() - begun

    def _look(self) -> None:
        drawn, now = self._session.renderer.drawn if self._session.renderer else 0, time.perf_counter()
        if drawn != self._drawn:
            self._drawn, self._drawn_at = drawn, now
        self.oldest = max(self.oldest, now - self._drawn_at)
