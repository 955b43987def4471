"""Shared memory for one frame, which outlives the process that writes it. Imports no libraries: the watchdog is
small."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import Self

_HEADER = 4096
_TEXT = 8192
_SLOT = _TEXT + 48 * 2**20
"""Bytes for a text and for 16 million pixels. Pages that were never written take no memory."""
_TRIES = 10


class FrameMemory:
    """A double buffer: two slots are written in turn, and a counter says which one is complete. So the writer may be
    killed at any time, and a reader gets the last frame or the one before.

    Thread contract: one writer in all processes, any number of readers.
    """

    def __init__(self, descriptor: int) -> None:
        """descriptor: of `create`, also inherited."""
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _HEADER + 2 * _SLOT)

    @classmethod
    def create(cls) -> Self:
        """New memory, without a frame. Raises OSError."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("tpos-live")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _HEADER + 2 * _SLOT)
        return cls(descriptor)

    @property
    def count(self) -> int:
        """Frames written so far, by all processes."""
        return int(struct.unpack_from("<Q", self._memory, 0)[0])

    @property
    def beats(self) -> int:
        """Heartbeat: grows while the show's interpreter runs; 0 = no heartbeat."""
        return int(struct.unpack_from("<Q", self._memory, 8)[0])

    @beats.setter
    def beats(self, count: int) -> None:
        struct.pack_into("<Q", self._memory, 8, count)

    @property
    def drawn(self) -> int:
        """Checks of the display that found a new image of this show's own engine (`FrameKeeper`)."""
        return int(struct.unpack_from("<Q", self._memory, 16)[0])

    @drawn.setter
    def drawn(self, count: int) -> None:
        struct.pack_into("<Q", self._memory, 16, count)

    def write(self, text: bytes, pixels: memoryview) -> bool:
        """Write a frame: its pixels, and its metadata as a text. False if it is too large."""
        if len(text) > _TEXT - 8 or pixels.nbytes > _SLOT - _TEXT:
            return False
        count = self.count + 1
        start = _HEADER + count % 2 * _SLOT
        struct.pack_into("<II", self._memory, start, len(text), pixels.nbytes)
        self._memory[start + 8 : start + 8 + len(text)] = text
        self._memory[start + _TEXT : start + _TEXT + pixels.nbytes] = pixels
        struct.pack_into("<Q", self._memory, 0, count)
        return True

    def read(self) -> tuple[bytes, bytes] | None:
        """(metadata, pixels) of the last frame; None before the first one."""
        for _ in range(_TRIES):
            count = self.count
            if not count:
                return None
            start = _HEADER + count % 2 * _SLOT
            length, size = struct.unpack_from("<II", self._memory, start)
            text = self._memory[start + 8 : start + 8 + length]
            pixels = self._memory[start + _TEXT : start + _TEXT + size]
            if self.count == count:  # else it may be overwritten already
                return text, pixels
        return None
