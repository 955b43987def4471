"""The render's share of the card: behind the others in the queue.

A show shares its card with Resolume, Ableton's plug-ins or the window itself. Two things make room for them:
`--fps-cap` leaves the card idle between frames, and what is drawn is queued with the lowest priority.
"""

from __future__ import annotations

import torch

LOWEST = 0
"""PyTorch's and CUDA's lowest priority of a stream: lower numbers come first, 0 is the last and the default, and what
is above 0 is taken as 0 (torch.cuda.Stream, cudaDeviceGetStreamPriorityRange). Said explicitly, since it is meant.

It ranks the streams of one process. Between programs the driver shares the card by its own rule, unless both run under
CUDA's Multi-Process Service: there the cap is what helps."""


def use_low_priority_stream(device: torch.device) -> None:
    """Give the calling thread a stream of its own, of the lowest priority; elsewhere than on CUDA nothing is done.

    A stream of its own also keeps frames from waiting for what other threads run, such as the text encoder. Call it
    again when buffers were filled on the default stream: what is drawn next waits for them, the host does not.
    """
    if device.type != "cuda":
        return
    shared = torch.cuda.default_stream(device)
    if torch.cuda.current_stream(device) == shared:
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=LOWEST))
        torch.cuda.empty_cache()  # what loading has left is kept for the shared stream alone
    torch.cuda.current_stream(device).wait_stream(shared)
