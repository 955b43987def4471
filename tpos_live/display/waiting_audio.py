"""Audio that waits to be recorded: in order, with its time, and bounded in memory."""

from __future__ import annotations

from collections import deque

import numpy as np

SOUND_SECONDS = 60.0
"""Audio (0.4 MB per second) that may wait for a stalled disk; more is replaced by silence."""


class WaitingAudio:
    """Blocks of audio with the time of their end. Of a disk that stalls too long the time is kept and the audio
    becomes silence, which takes no memory.

    Thread contract: the caller holds a lock.
    """

    def __init__(self, rate: int) -> None:
        """rate: in Hz."""
        self.samples = 0
        """Samples that wait, silence left out."""
        self.lost = 0
        """Samples replaced by silence."""
        self._most = SOUND_SECONDS * rate
        self._blocks: deque[tuple[float, np.ndarray]] = deque()

    @property
    def newest(self) -> float:
        """Time of the end of the last block; 0 without one."""
        return self._blocks[-1][0] if self._blocks else 0.0

    @property
    def seconds(self) -> float:
        """From the end of the first block to that of the last."""
        return self._blocks[-1][0] - self._blocks[0][0] if self._blocks else 0.0

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def add(self, stereo: np.ndarray, captured_at: float) -> None:
        """Add a block: float32 [n, 2], not modified afterwards; captured_at: perf_counter of its end."""
        self._blocks.append((captured_at, stereo))
        self.samples += len(stereo)
        for i, (at, old) in enumerate(self._blocks):
            if self.samples <= self._most:
                break
            if old.strides[0]:
                self.samples -= len(old)
                self.lost += len(old)
                self._blocks[i] = (at, np.broadcast_to(np.zeros(2, np.float32), old.shape))

    def take(self) -> tuple[np.ndarray, float]:
        """The oldest block, and the time of its end."""
        captured_at, stereo = self._blocks.popleft()
        if stereo.strides[0]:
            self.samples -= len(stereo)
        return stereo, captured_at
