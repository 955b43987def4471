"""Work on a card that is recorded once and then launched whole: a CUDA graph.

What is recorded may not depend on a number of Python's, which would be frozen in it: everything that changes lies in
tensors whose addresses stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tpos_live.render.share import LOWEST

Recording = torch.cuda.CUDAGraph
"""`replay()` launches it on the current stream."""


def record(body: Callable[[], object], memory: Any = None) -> Recording:
    """Run `body` thrice on a stream of its own, to warm up as recordings want, then record it.

    memory: a pool (torch.cuda.graph_pool_handle) to share with recordings that never run at the same time.
    """
    stream = torch.cuda.Stream(priority=LOWEST)  # a recording's kernels keep the priority they were recorded with
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(stream)
    recording = Recording()
    with torch.cuda.graph(recording, memory, stream, capture_error_mode="thread_local"):
        body()
    return recording
