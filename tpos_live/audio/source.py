"""The interface of an audio source: microphone, file or demo."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, Self

import numpy as np

RATE = 48_000
"""Analysis rate in samples per second; every source is resampled to it."""

ABSURD = 100.0
"""Samples of a larger magnitude (40 dB above full scale) are driver errors."""


class AudioError(Exception):
    """A source cannot be used: what, where and the remedy, in one line."""


class SourceState(Enum):
    """STARTING: opened, no block yet. STALLED: no block for 0.5 s, but the stream is kept. REOPENING: the stream is
    closed, and the input is opened again. ENDED: a file is at its end."""

    STARTING = "starting"
    RUNNING = "running"
    STALLED = "stalled"
    REOPENING = "reopening"
    ENDED = "ended"


@dataclass(frozen=True)
class Losses:
    """Samples lost since the start, by cause (per channel, at the device's rate). flagged: reported by the driver.
    overwritten: in a ring buffer, before they were read. dropouts: found by comparison with the clock. invalid: NaN,
    infinite or absurd values from a driver, replaced by zeros."""

    flagged: int = 0
    overwritten: int = 0
    dropouts: int = 0
    invalid: int = 0

    @property
    def total(self) -> int:
        return self.flagged + self.overwritten + self.dropouts + self.invalid


@dataclass(frozen=True)
class Chunk:
    """Audio for the analysis.

    mono: float32 [n] at RATE, the selected channels mixed by a `Downmix`. stereo: float32 [n, 2] at RATE, for the
    recorder. captured_at: `time.perf_counter` at which the device delivered the newest sample. real: False where the
    samples are silence in place of a device that delivers none.
    """

    mono: np.ndarray
    stereo: np.ndarray
    captured_at: float
    real: bool = True


@dataclass(frozen=True)
class SourceStatus:
    """message: what the user should know now, "" if nothing."""

    state: SourceState
    name: str
    losses: Losses = field(default_factory=Losses)
    message: str = ""


class AudioSource(Protocol):
    """A source with its supervisor, as the audio thread uses it. A context manager: entering opens it, leaving closes
    it (at most 0.5 s, also when the device hangs).

    Thread contract: one thread calls `pull`; everything else may be used from anywhere.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def pull(self, now: float) -> Chunk | None:
        """Audio since the last call, None if there is none yet. `now` is perf_counter.

        While a device is stalled or reopening it returns silence at the pace of the clock.
        """
        ...

    def status(self, now: float) -> SourceStatus: ...

    @property
    def passed(self) -> float:
        """Seconds from a sample's time in the room to its `captured_at`; negative for a sample that is played later."""
        ...

    def reopen(self, device: str | int) -> None:
        """Change to another input while running (asynchronous; the result shows in `status`)."""
        ...
