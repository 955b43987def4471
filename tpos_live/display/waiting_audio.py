"""A queue of audio that waits to be encoded: in order, with its time, and bounded in memory."""

from __future__ import annotations

from collections import deque

import numpy as np

SOUND_SECONDS = 60.0
"""Audio (0.4 MB per second) that may wait for a stalled disk; more is replaced by silence."""


class WaitingAudio:
    """A queue of blocks of audio, each with the time of its end. Where more than SOUND_SECONDS wait, the oldest blocks
    become silence: only their length and time are kept, in one entry a second, so that an hour takes little memory.

    Thread contract: the caller holds a lock.
    """

    def __init__(self, rate: int) -> None:
        """rate: in Hz."""
        self.samples = 0
        """Samples that wait, silence left out."""
        self.lost = 0
        """Samples replaced by silence."""
        self._rate = rate
        self._blocks: deque[tuple[float, np.ndarray]] = deque()
        self._silence: deque[tuple[float, int]] = deque()
        """Silence before the blocks: time of the end, and samples, at most one second."""

    @property
    def newest(self) -> float:
        """Time of the end of the last block; 0 without one."""
        return self._blocks[-1][0] if self._blocks else self._silence[-1][0] if self._silence else 0.0

    @property
    def seconds(self) -> float:
        """Seconds from the end of the first block to the end of the last."""
        oldest = self._silence or self._blocks
        return self.newest - oldest[0][0] if oldest else 0.0

    def __bool__(self) -> bool:
        return bool(self._silence or self._blocks)

    def add(self, stereo: np.ndarray, captured_at: float) -> None:
        """Add a block: float32 [n, 2], not modified afterwards; captured_at: perf_counter of its end."""
        self._blocks.append((captured_at, stereo))
        self.samples += len(stereo)
        while self.samples > SOUND_SECONDS * self._rate:
            at, old = self._blocks.popleft()
            self.samples -= len(old)
            self.lost += len(old)
            joined = self._silence[-1][1] + len(old) if self._silence else 0
            if 0 < joined <= self._rate:
                self._silence[-1] = at, joined
            else:
                self._silence.append((at, len(old)))

    def take(self) -> tuple[np.ndarray, float]:
        """The oldest block, and the time of its end."""
        if self._silence:
            captured_at, count = self._silence.popleft()
            return np.zeros((count, 2), np.float32), captured_at
        captured_at, stereo = self._blocks.popleft()
        self.samples -= len(stereo)
        return stereo, captured_at
