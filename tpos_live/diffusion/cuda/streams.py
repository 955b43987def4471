"""Gives the render thread a low-priority CUDA stream.

A show shares its card with Resolume, Ableton's plug-ins or the window itself. Two measures leave them time on the card:
`--fps-cap` keeps the card idle between frames, and frames are drawn on a stream of the lowest priority.
"""

from __future__ import annotations

import torch

LOWEST = 0
"""The lowest priority of a stream in PyTorch and CUDA. Lower numbers have priority; 0 is the lowest and the default,
and values above 0 count as 0 (torch.cuda.Stream, cudaDeviceGetStreamPriorityRange). Passed explicitly, as it is
intended.

It ranks the streams of one process only. Between programs the driver shares the card by its own rule, unless both run
under CUDA's Multi-Process Service; against other programs only the cap helps."""


def use_low_priority_stream(device: torch.device) -> None:
    """Give the calling thread a stream of its own with the lowest priority; no effect without CUDA.

    A separate stream also keeps frames from waiting for other threads' work, such as the text encoder's. Call it again
    after buffers were filled on the default stream: later work on this stream waits for them, the host does not.
    """
    if device.type != "cuda":
        return
    shared = torch.cuda.default_stream(device)
    if torch.cuda.current_stream(device) == shared:
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=LOWEST))
        torch.cuda.empty_cache()  # free the cached memory of loading, which only the shared stream could reuse
    torch.cuda.current_stream(device).wait_stream(shared)
