"""Streams beside the main input: the fallback while it is lost, and a second stream of an input that stalls."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tpos_live.audio.capture import Capture
from tpos_live.audio.open_attempt import OpenAttempt, OpenAttempts

log = logging.getLogger(__name__)

WAIT = 5.0
"""Seconds between two attempts to open the fallback."""
START, STALL = 5.0, 3.0
"""Seconds allowed until the first block (START), and between two blocks (STALL), before the fallback is reopened."""
SPARE_AFTER = 1.5
"""Seconds without a block after which the input is opened a second time, beside the stalled stream."""


class FallbackInput:
    """Opens and closes the fallback, and reopens it after a stall. Belongs to the supervisor's thread."""

    def __init__(self, open_capture: Callable[[], Capture], attempts: OpenAttempts) -> None:
        self.capture: Capture | None = None
        self._open_capture = open_capture
        self._attempts = attempts
        self._opening: OpenAttempt | None = None
        self._retry_at = 0.0

    @property
    def on_portaudio(self) -> bool:
        """Whether it has, or is opening, a stream that a rescan of PortAudio's devices would end."""
        return self._opening is not None or (self.capture is not None and self.capture.on_portaudio)

    def look_after(self, now: float, needed: bool) -> None:
        """Check the stream once, and open one if `needed`. now: perf_counter."""
        attempt, self._opening = self._opening, None
        if attempt is not None and not attempt.done:
            self._opening = attempt
        elif attempt is not None:
            self.capture = attempt.capture
            if attempt.capture is None:
                self._retry_at = now + WAIT
                log.warning(f"the fallback cannot be used: {attempt.error}")
        elif self.capture is not None:
            stamp = self.capture.stamp
            late = now - self.capture.opened_at > START if stamp is None else now - stamp[0] > STALL
            if self.capture.finished or late:
                self.let_go()
                self._retry_at = now + WAIT
        elif needed and now >= self._retry_at:
            self._opening = self._attempts.begin(self._open_capture, patience=0.3)

    def let_go(self) -> None:
        """Close the stream, and abandon a running attempt to open one."""
        self._attempts.close(self.capture)
        self._attempts.abandon(self._opening)
        self.capture = self._opening = None


class SpareStream:
    """A second stream of an input that stalls: some drivers deliver again only to a new stream.

    Opened once per stall. Belongs to the supervisor's thread."""

    def __init__(self, attempts: OpenAttempts, open_input: Callable[[], Capture]) -> None:
        self._attempts, self._open_input = attempts, open_input
        self._tried = False
        self._opening: OpenAttempt | None = None
        self._capture: Capture | None = None

    def take(self) -> Capture | None:
        """The second stream once it delivers, else None. The caller then owns it."""
        if self._opening is not None and self._opening.done:
            self._capture, self._opening = self._opening.capture, None
        capture = self._capture
        if capture is None or capture.stamp is None or capture.finished:
            return None
        self._capture, self._tried = None, False
        return capture

    def look_after(self, silent_for: float) -> None:
        """Open it once the first stream has delivered nothing for SPARE_AFTER. silent_for: seconds."""
        if silent_for > SPARE_AFTER and not self._tried:
            self._tried = True
            self._opening = self._attempts.begin(self._open_input)

    def let_go(self) -> None:
        """Close it: the first stream delivers, or the input is closed."""
        self._tried = False
        self._attempts.close(self._capture)
        self._attempts.abandon(self._opening)
        self._capture = self._opening = None
