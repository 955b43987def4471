"""How much work a recording gives its encoder: less when it comes too late, more again when it has time."""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW = 4.0
"""Seconds after which it is judged."""
MISSED = 0.02
"""Share of the pictures that may be missed."""
HALVES = 1 / 3
"""Share missed from which fewer frames per second, evenly spread, look better than gaps among many."""
CALM = 30.0
"""Seconds without a miss before more work is tried; twice as long after each attempt that failed."""
CALMEST = 480.0
SLOWEST = 5.0
"""Frames per second below which it is not lowered: then pictures are missed as they come."""
AGAIN = 60.0
"""Seconds between two warnings that pictures are missed."""


@dataclass
class EncoderController:
    """First a cheaper preset, then every 2nd, 3rd … frame. The size stays: a file has one.

    State only; one thread calls `note` and `look`, and gives the time.
    """

    fps: float
    presets: tuple[str, ...] = ("superfast", "ultrafast")
    every: int = 1
    """One frame is recorded of so many."""
    _preset: int = 0
    _begun: float | None = None
    _written: int = 0
    _missed: int = 0
    _busy: float = 0.0
    _calm: float = 0.0
    _patience: float = CALM
    _climbed: bool = False
    _warned: float = field(default=-AGAIN)

    @property
    def preset(self) -> str:
        """The encoder's preset to use now."""
        return self.presets[self._preset]

    def keep_preset(self) -> None:
        """The preset cannot be changed within this file: do the rest only."""
        self.presets, self._preset = (self.presets[0],), 0

    def note(self, busy: float, missed: int) -> None:
        """A frame took `busy` seconds, and `missed` pictures were lost meanwhile because there was no room."""
        self._written += 1
        self._busy += busy
        self._missed += missed

    def look(self, now: float) -> str:
        """Judge, every WINDOW seconds; a line for a person where something changed or is wrong, else ""."""
        if self._begun is None:
            self._begun = now
        span = now - self._begun
        if span < WINDOW or not self._written:
            return ""
        missed = self._missed / (self._written + self._missed)
        took = self._busy / self._written
        got = self._written / span
        self._begun, self._written, self._missed, self._busy = now, 0, 0, 0.0
        if missed <= MISSED:
            self._calm += span
            if self._calm >= self._patience and self._more(took):
                self._calm, self._climbed = 0.0, True
            return ""
        if self._climbed:
            self._patience, self._climbed = min(2 * self._patience, CALMEST), False
        self._calm = 0.0
        why = f"the encoder takes {1000 * took:.0f} ms a frame"
        if self._preset + 1 < len(self.presets):
            self._preset += 1
            return f"recording: {why}; it goes on with the {self.preset} preset"
        if missed > HALVES and self.fps / (self.every + 1) >= SLOWEST:
            self.every += 1
            return f"recording: {why}; it goes on with {self.fps / self.every:.4g} frames per second"
        if now - self._warned < AGAIN:
            return ""
        self._warned = now
        return f"recording: {why}, {got:.1f} per second; length and sound are right. Close other programs"

    def _more(self, took: float) -> bool:
        """Give it more work if it would have the time."""
        if self.every > 1 and took * self.fps / (self.every - 1) < 0.8:
            self.every -= 1
        elif self.every == 1 and self._preset > 0 and took * self.fps < 0.4:
            self._preset -= 1
        else:
            return False
        return True
