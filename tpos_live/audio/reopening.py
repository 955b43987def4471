"""How the supervisor opens a lost input again: the backoff between attempts, and the ways to open it."""

from __future__ import annotations

from collections.abc import Callable

from tpos_live.audio.capture import Capture
from tpos_live.audio.source import AudioError

FIRST_WAIT, LONGEST_WAIT, PROBE_WAIT = 0.5, 2.0, 5.0
EAGER = 15.0
"""Backoff between attempts to open a lost input, in seconds: FIRST_WAIT for the first EAGER seconds, then doubled up to
LONGEST_WAIT; up to PROBE_WAIT while the fallback plays, because each attempt then needs a process."""


class RetryPace:
    """The backoff: when the next attempt is due. Belongs to the supervisor's thread; times are perf_counter."""

    def __init__(self) -> None:
        self._wait, self._due = FIRST_WAIT, 0.0
        self.rescan = False
        """Whether an attempt without a rescan has failed, so that devices should be scanned again."""

    def is_due(self, now: float) -> bool:
        return now >= self._due

    def at_once(self, now: float) -> None:
        """The next attempt is due now."""
        self._due = now

    def put_off(self, now: float, lost_for: float, probing: bool) -> None:
        """The next attempt is due after a wait. lost_for: seconds since the input delivered. probing: whether attempts
        need a process."""
        self._due, self.rescan = now + self._wait, True
        if lost_for > EAGER or probing:
            self._wait = min(2 * self._wait, PROBE_WAIT if probing else LONGEST_WAIT)

    def reset(self) -> None:
        """Start with the shortest wait again, because the input delivers."""
        self._wait, self.rescan = FIRST_WAIT, False


class InputOpener:
    """Opens the requested input in one of three ways. Each may take seconds, may run on any thread, and raises
    AudioError."""

    def __init__(
        self,
        wanted: str | int | None,
        open_capture: Callable[[str | int | None], Capture],
        rescan: Callable[[], None],
        probe: Callable[[str | int | None], bool],
        list_others: Callable[[str | int | None], tuple[str, ...]],
    ) -> None:
        """Arguments as in `Supervisor`. The supervisor may replace `wanted`."""
        self.wanted = wanted
        self.others: tuple[str, ...] = ()
        """Names of the inputs at the last rescan, if the requested one was missing; replaced as a whole."""
        self._open_capture, self._rescan, self._probe = open_capture, rescan, probe
        self._list_others = list_others

    def open(self) -> Capture:
        """Without a rescan."""
        capture = self._open_capture(self.wanted)
        self.others = ()
        return capture

    def rescan_and_open(self) -> Capture:
        """After a rescan, which closes every stream."""
        self._rescan()
        try:
            return self.open()
        except AudioError:
            self.others = self._list_others(self.wanted)
            raise

    def open_or_probe(self) -> Capture | None:
        """Without a rescan; None if that fails, but a probe in another process can open the input."""
        try:
            return self._open_capture(self.wanted)
        except AudioError:
            if self._probe(self.wanted):
                return None
            raise
