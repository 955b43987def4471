"""The fallback input: used while the main input is lost, and closed when it is back."""

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
