"""Adapts the load of a recording's encoder: less work when it is late, more when it has time."""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW = 4.0
"""Seconds between two decisions."""
MISSED = 0.02
"""Share of frames that may be missed."""
LOWER_RATE = 1 / 3
"""Share of missed frames from which a lower, even frame rate looks better than gaps."""
CALM = 30.0
"""Seconds without a miss before more work is tried; doubled after each attempt that failed."""
CALMEST = 480.0
"""Upper limit of that time, in seconds."""
SLOWEST = 5.0
"""Frames per second below which the rate is not lowered."""
AGAIN = 60.0
"""Seconds between two warnings about missed frames."""


@dataclass
class EncoderController:
    """First a cheaper preset, then every 2nd, 3rd … frame. The size of a file is fixed.

    State only; one thread calls `note` and `decide`, and passes the time.
    """

    fps: float
    name: str = "recording"
    """For messages."""
    presets: tuple[str, ...] = ("superfast", "ultrafast")
    every: int = 1
    """One of this many frames is recorded."""
    _preset: int = 0
    _begun: float | None = None
    _written: int = 0
    _missed: int = 0
    _busy: float = 0.0
    _calm: float = 0.0
    _patience: float = CALM
    _raised: bool = False
    _warned: float = field(default=-AGAIN)

    @property
    def preset(self) -> str:
        """The encoder preset to use now."""
        return self.presets[self._preset]

    def keep_preset(self) -> None:
        """The preset cannot change within this file: change only the frame rate from now on."""
        self.presets, self._preset = (self.presets[0],), 0

    def note(self, busy: float, missed: int) -> None:
        """A frame took `busy` seconds, and `missed` frames were dropped meanwhile."""
        self._written += 1
        self._busy += busy
        self._missed += missed

    def decide(self, now: float) -> str:
        """Decide, at most every WINDOW seconds. Returns a message if something changed or is wrong, else ""."""
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
                self._calm, self._raised = 0.0, True
            return ""
        if self._raised:
            self._patience, self._raised = min(2 * self._patience, CALMEST), False
        self._calm = 0.0
        why = f"the encoder takes {1000 * took:.0f} ms a frame"
        if self._preset + 1 < len(self.presets):
            self._preset += 1
            return f"{self.name}: {why}; it goes on with the {self.preset} preset"
        if missed > LOWER_RATE and self.fps / (self.every + 1) >= SLOWEST:
            self.every += 1
            return f"{self.name}: {why}; it goes on with {self.fps / self.every:.4g} frames per second"
        if now - self._warned < AGAIN:
            return ""
        self._warned = now
        return f"{self.name}: {why}, {got:.1f} per second; length and sound are right. Close other programs"

    def _more(self, took: float) -> bool:
        """Give the encoder more work if it has the time."""
        if self.every > 1 and took * self.fps / (self.every - 1) < 0.8:
            self.every -= 1
        elif self.every == 1 and self._preset > 0 and took * self.fps < 0.4:
            self._preset -= 1
        else:
            return False
        return True
