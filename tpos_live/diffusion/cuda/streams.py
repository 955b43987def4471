"""The render's share of the card: behind the others in the queue, and how long it keeps the card.

A show shares its card with Resolume, Ableton's plug-ins or the window itself. Two things make room for them:
`--fps-cap` leaves the card idle between pictures, and what is drawn is queued with the lowest priority.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch

LOWEST = 0
"""PyTorch's and CUDA's lowest priority of a stream: lower numbers come first, 0 is the last and the default, and what
is above 0 is taken as 0 (torch.cuda.Stream, cudaDeviceGetStreamPriorityRange). Said explicitly, since it is meant.

It ranks the streams of one process. Between programs the driver shares the card by its own rule, unless both run under
CUDA's Multi-Process Service: there the cap is what helps."""


def queue_last(device: torch.device) -> None:
    """Give the calling thread a stream of its own, of the lowest priority; elsewhere than on CUDA nothing is done.

    A stream of its own also keeps pictures from waiting for what other threads run, such as the text encoder. Call it
    again when buffers were filled on the default stream: what is drawn next waits for them, the host does not.
    """
    if device.type != "cuda":
        return
    shared = torch.cuda.default_stream(device)
    if torch.cuda.current_stream(device) == shared:
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=LOWEST))
        torch.cuda.empty_cache()  # what loading has left is kept for the shared stream alone
    torch.cuda.current_stream(device).wait_stream(shared)


class Mark(Protocol):
    """A torch.cuda.Event with timing."""

    def record(self) -> None: ...

    def query(self) -> bool: ...

    def elapsed_time(self, end_event: Any) -> float: ...


class DeviceTime:
    """Seconds for which pictures keep the device. Belongs to the render thread.

    On a card it is the time between two marks in the stream, read when the next picture begins, so that nobody waits
    for it; gaps in which a slow host lets the card idle count as kept. Elsewhere the host draws: its own time counts.
    """

    def __init__(self, device: torch.device, marks: tuple[Mark, Mark] | None = None) -> None:
        """marks: in place of CUDA's own."""
        if marks is None and device.type == "cuda":
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            marks = first, last
        self._marks = marks
        self._complete = False
        self.took = 0.0
        """Seconds of the newest picture that is known; on a card of the one before the newest."""

    def begin(self) -> None:
        """The first work of a picture is about to be queued."""
        if self._marks is None:
            return
        first, last = self._marks
        if self._complete and last.query():
            self.took = first.elapsed_time(last) / 1000
        self._complete = False  # until `end`: a picture may fail in between
        first.record()

    def end(self, seconds: float) -> None:
        """All of it is queued. seconds: how long the host took."""
        if self._marks is None:
            self.took = seconds
        else:
            self._marks[1].record()
            self._complete = True
