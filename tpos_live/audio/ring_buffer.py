"""A lock-free ring buffer for audio between exactly two threads."""

from __future__ import annotations

import numpy as np


class RingBuffer:
    """Float32 frames from one writer thread to one reader thread.

    Thread contract: one thread calls `write`, one thread calls `read` and `read_into`; `available`, `free`, `written`
    and `overwritten` may be read from anywhere. Nothing blocks and nothing takes a lock. A writer that is ahead
    overwrites the oldest frames; the reader detects, skips and counts them in `overwritten`. A writer that must not
    overwrite writes at most `free` frames.

    The writer raises `_claimed` before it copies and `written` afterwards. The reader drops the frames that the writer
    claimed while the reader was copying them. Both are frame counts since the start, only grow, and are set by the
    writer alone.
    """

    def __init__(self, capacity_frames: int, channels: int) -> None:
        if capacity_frames < 1 or channels < 1:
            raise ValueError(f"a ring of {capacity_frames} frames and {channels} channels cannot hold sound")
        self._frames = np.zeros((capacity_frames, channels), np.float32)
        self._capacity, self._channels = capacity_frames, channels
        self._claimed = 0
        self.written = 0
        """Frames written since the start."""
        self._read = 0
        self.overwritten = 0
        """Frames that were overwritten before they were read."""

    @property
    def available(self) -> int:
        """Frames that can be read now."""
        return min(self.written - self._read, self._capacity)

    @property
    def free(self) -> int:
        """Frames that can be written without overwriting."""
        return max(self._capacity - (self.written - self._read), 0)

    def write(self, block: np.ndarray) -> None:
        """Copy `block`, float32 [n, channels], any n. If n exceeds the capacity, only the newest frames are kept."""
        end = self.written + len(block)
        self._claimed = end
        if len(block) > self._capacity:
            block = block[-self._capacity :]
        at = (end - len(block)) % self._capacity
        head = min(len(block), self._capacity - at)
        self._frames[at : at + head] = block[:head]
        self._frames[: len(block) - head] = block[head:]
        self.written = end

    def read(self, max_frames: int | None = None) -> np.ndarray:
        """The oldest unread frames as a new array [n, channels], at most `max_frames` (None: all)."""
        wanted = self.available if max_frames is None else min(max_frames, self.available)
        out = np.empty((max(wanted, 0), self._channels), np.float32)
        return out[: self.read_into(out)]

    def read_into(self, out: np.ndarray) -> int:
        """Copy the oldest unread frames into the front of `out`; returns their number."""
        written = self.written
        self._skip_to(written - self._capacity)
        start = self._read
        count = min(len(out), written - start)
        at = start % self._capacity
        head = min(count, self._capacity - at)
        out[:head] = self._frames[at : at + head]
        out[head:count] = self._frames[: count - head]
        torn = min(max(self._claimed - self._capacity - start, 0), count)
        if torn:
            self._skip_to(start + torn)
            out[: count - torn] = out[torn:count].copy()
        self._read = start + count
        return count - torn

    def _skip_to(self, frame: int) -> None:
        lost = frame - self._read
        if lost > 0:
            self.overwritten += lost
            self._read = frame
