"""Whether the requested input delivers audio, since when, and when the fallback is needed."""

from __future__ import annotations

START = 5.0
"""Seconds allowed for the first block: PulseAudio needs 1.8 s, and more on a busy machine."""
FALLBACK_OPEN, FALLBACK_AFTER = 1.0, 2.0
"""Seconds without a block after which the fallback is opened, and after which it is used: it may need 2 s for its first
block."""
BACK_FOR = 0.5
"""Seconds for which a lost input must deliver again before it replaces the fallback."""


class Delivery:
    """Belongs to the supervisor's thread; times are perf_counter."""

    def __init__(self) -> None:
        self._last = 0.0  # when the input delivered, or from when on its absence counts
        self._since: float | None = None

    @property
    def running(self) -> bool:
        """Whether the input delivers."""
        return self._since is not None

    def requested(self, now: float) -> None:
        """An input was requested: the fallback is used if it has delivered nothing after START."""
        self._last, self._since = now + START - FALLBACK_AFTER, None

    def missing(self, now: float) -> None:
        """The input cannot be opened: the fallback is used at once."""
        self._last = now - FALLBACK_AFTER

    def delivers(self, at: float, now: float) -> None:
        """The input delivers; `at`: when its newest block came."""
        self._last = at
        self._since = now if self._since is None else self._since

    def stopped(self) -> None:
        """The input no longer delivers."""
        self._since = None

    def absent_for(self, now: float) -> float:
        """Seconds since the input delivered."""
        return now - self._last

    def is_steady(self, now: float) -> bool:
        """Whether the input has delivered for long enough to replace the fallback."""
        return self._since is not None and now - self._since >= BACK_FOR

    def may_need_fallback(self, now: float) -> bool:
        """Whether the fallback should be opened."""
        return self.absent_for(now) > FALLBACK_OPEN

    def needs_fallback(self, now: float) -> bool:
        """Whether the fallback should be used."""
        return self.absent_for(now) > FALLBACK_AFTER
