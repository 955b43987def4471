"""Runs a live session until something has happened, for measurements."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tpos_live.runtime.live_session import LiveSession


def run_until_first_frame(session: LiveSession) -> float:
    """Run until the engine's first frame; the seconds it took."""
    begin = time.perf_counter()
    session.run_until(lambda: session.display.interpolator.newest is not None)
    return time.perf_counter() - begin


def run_until_fastest_backend(session: LiveSession) -> float:
    """Run until the engine's fastest backend is active; the longest interval between frames in seconds, from the first
    one to one second after that."""
    drawn, longest, end = time.perf_counter(), 0.0, 0.0

    def best() -> bool:
        nonlocal drawn, longest, end
        now, newest = time.perf_counter(), session.display.interpolator.newest
        if newest is not None and newest.drawn_at > drawn:
            longest, drawn = max(longest, newest.drawn_at - drawn), newest.drawn_at
        if not session.loading and not end:
            end = now + 1.0
        return bool(end and now > end)

    session.run_until(best)
    return longest
