"""Runs a live show until a condition holds, and measures the longest time without a new engine frame. Also the options
of the scripts that repeat kinds of faults in a show."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Collection

from tpos_live.runtime.live_session import LiveSession

LONGEST = 60.0
"""Timeout of `ShowWatch.wait` in seconds."""


def fault_options(doc: str | None, kinds: Collection[str]) -> argparse.Namespace:
    """The options of the command line: `times`, `kinds` (a list of some of `kinds`) and `size`. doc: of the script."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default=",".join(kinds), help="kinds, by commas")
    parser.add_argument("--size", default="128", help="of the engine")
    given = parser.parse_args()
    given.kinds = given.only.split(",")
    if unknown := set(given.kinds) - set(kinds):
        parser.error(f"argument --only: {', '.join(sorted(unknown))}; there are {', '.join(kinds)}")
    return given


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
            self._measure()
            came = happened()
            return came or time.perf_counter() > end

        self._session.run_until(over)
        if not came:
            raise TimeoutError
        return time.perf_counter() - begun

    def _measure(self) -> None:
        drawn, now = self._session.renderer.drawn if self._session.renderer else 0, time.perf_counter()
        if drawn != self._drawn:
            self._drawn, self._drawn_at = drawn, now
        self.oldest = max(self.oldest, now - self._drawn_at)
