"""A second stream of an input that stalls: some drivers deliver again only to a new stream."""

from __future__ import annotations

from collections.abc import Callable

from tpos_live.audio.capture import Capture
from tpos_live.audio.open_attempt import OpenAttempt, OpenAttempts

SPARE_AFTER = 1.5
"""Seconds without a block after which the input is opened a second time, beside the stalled stream."""


class SpareStream:
    """Opened once per stall. Belongs to the supervisor's thread."""

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
